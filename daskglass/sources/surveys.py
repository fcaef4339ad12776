"""Files of a study: which there are, what they hold, and whether they agree with each other and with the study."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from daskglass.errors import StudyError, TrajectoryError, setting
from daskglass.physics.systems import Mixture
from daskglass.registry import READERS, load
from daskglass.store.ledger import Ledger
from daskglass.study.settings import Study, System
from daskglass.trajectories import get_format
from daskglass.trajectories.mapping import Trajectory, find_sources, read_table
from daskglass.trajectories.several_files import file_of
from daskglass.trajectories.survey import ROUNDING, Survey, survey_file
from daskglass.trajectories.unwrapping import species_codes

ENSEMBLE = "isoconfigurational"  # run whose frames are configurations
READING = 1e8  # bytes of a file read a second, at least
COMPOSITION = 0.01  # of all particles, and one: what the numbers of a species may differ by from a mixture's
DENSITY, DENSITY_VARYING = 0.02, 0.2  # relative, where all boxes are alike, and where they vary


@dataclass(frozen=True)
class File:
    """A trajectory of the user, and what it holds; None where it cannot be used, for the reason in `problem`."""

    path: Path
    survey: Survey | None
    problem: str = ""


Files = Mapping[tuple[str, float, int], File]  # by run, temperature and replica
Look = Callable[[Trajectory, str, Survey | None], File]
Over = Callable[[Look, Sequence[Trajectory], Sequence[str], Sequence[Survey | None]], Iterable[File]]


def find_files(study: Study) -> list[Trajectory]:
    """Files of a study, and where they belong, from their names alone; none where it simulates.

    Raises
    ------
    StudyError
        If the study does not say where files belong.
    TrajectoryError
        If no file is found, or two belong in one place.
    """
    given = study.source.trajectories
    if given is None:
        return []
    pattern: str = given.path
    rows: Sequence[Mapping[str, str]] = ({},)
    if project := READERS[given.format].project:
        pattern, rows = load(project)(given.path)
    elif given.table is not None:
        rows = read_table(Path(given.table))
    constants = dict(given.constants)
    given_names = {given.rename.get(name, name) for name in (*constants, *(name for row in rows for name in row))}
    if len(study.systems) == 1 and "system" not in given_names:
        constants["system"] = study.systems[0].system
    found = find_sources(pattern, constants, rows, given.rename)
    if given.ensembles or any(source.trajectory is not None for source in found):
        return [replace(source, run=ENSEMBLE) for source in found]
    if given.lags:
        raise StudyError(
            f"{setting('source.trajectories.lags')}: lags are of isoconfigurational ensembles",
            remedy="put {trajectory} into the path, by which their files differ, or leave it out",
        )
    places: dict[tuple[object, ...], Trajectory] = {}
    for source in found:
        place = source.system, source.run, source.temperature, source.replica
        if (other := places.setdefault(place, source)) != source:
            raise StudyError(
                f"{other.path} and {source.path} differ in configuration or lag alone, as files of isoconfigurational "
                "ensembles do",
                remedy=f"if they are such files, put {{trajectory}} into {setting('source.trajectories.path')} as well; else "
                "give the field another name",
            )
    return found


def are_ensembles(sources: Sequence[Trajectory]) -> bool:
    """Whether files are of isoconfigurational ensembles."""
    return any(source.run == ENSEMBLE for source in sources)


def survey_sources(
    study: Study, ledger: Ledger, sources: Sequence[Trajectory], over: Over = map
) -> dict[Trajectory, File]:
    """Look into the files of a study that the ledger does not know as they are.

    Parameters
    ----------
    study : of existing trajectories
    ledger : of its store
    sources : the files
    over : runs a function over lists of its arguments, as `map` does
    """
    given = study.source.trajectories
    if given is None:
        return {}
    marks = {source: ledger.marks.get(file_key(source.path)) for source in sources}
    known = {source: Survey.model_validate(mark) if mark else None for source, mark in marks.items()}
    found = {
        source: File(source.path, survey)
        for source, survey in known.items()
        if survey and survey.is_whole(source.path, source.steps, _is_even(source))
    }
    if new := [source for source in sources if source not in found]:
        looked = over(look, new, [given.format] * len(new), [known[source] for source in new])
        found |= zip(new, looked, strict=True)
    if given.ignore_images:
        # the ledger keeps what the file holds
        for source, file in found.items():
            if file.survey is not None:
                found[source] = replace(file, survey=file.survey.model_copy(update={"images": False}))
    return {source: _reaching(found[source], given.frames) for source in sources}


def by_system(surveyed: Mapping[Trajectory, File]) -> dict[str, dict[tuple[str, float, int], File]]:
    """Files of every system, by run, temperature and replica."""
    files: dict[str, dict[tuple[str, float, int], File]] = {}
    for source, file in surveyed.items():
        files.setdefault(source.system, {})[source.run, source.temperature, source.replica] = file
    return files


def _is_even(source: Trajectory) -> bool:
    """Whether frames must be equally spaced in time: not in ensembles, whose lags are often logarithmic."""
    return source.run != ENSEMBLE


def _reaching(file: File, frames: int | None) -> File:
    """Refuse a file that is damaged within its first `frames`, or anywhere where all are asked for."""
    survey = file.survey
    if survey is None or not survey.damage or (frames is not None and frames <= survey.frames):
        return file
    return File(file.path, None, survey.damage)


def seconds_to_survey(sources: Iterable[Trajectory]) -> float:
    """Seconds that looking into files takes at most."""
    files = [file_of(source.path, step) for source in sources for step in source.steps or ("",)]
    return sum(file.stat().st_size for file in files if file.is_file()) / READING


def look(source: Trajectory, form: str, known: Survey | None) -> File:
    """Survey a trajectory; what is wrong with it fails the tasks that read it, and stops no other."""
    try:
        return File(source.path, survey_file(source.path, get_format(form), known, source.steps, _is_even(source)))
    except TrajectoryError as error:
        return File(source.path, None, str(error))


def remember(ledger: Ledger, file: File) -> None:
    """Let the ledger know what a file holds."""
    if file.survey is not None and not ledger.is_done(file_key(file.path), file.survey.inputs()):
        ledger.complete(file_key(file.path), file.survey.inputs(), file.survey.model_dump())


def file_key(path: Path) -> str:
    """Name under which the ledger knows a file."""
    return f"file-{path.absolute()}"


def check_agree(path: Path, first: Survey, other: Path, second: Survey, frames: int | None) -> None:
    """Refuse two files of a run that do not hold the same particles at the same times.

    Raises
    ------
    TrajectoryError
        Naming both files, what differs and a remedy.
    """
    asked = {
        "particles": "they cannot be of one system",
        "interval": "the frames of a run must be as many time steps apart in every file",
        "frames": f"{setting('source.trajectories.frames')} reads the first N of every file",
    }
    for name, remedy in asked.items():
        if name == "frames" and frames is not None:
            continue
        one, two = getattr(first, name), getattr(second, name)
        if one != two:
            raise TrajectoryError(f"{name} {two} differs from {one} of {path}", file=other, remedy=remedy)


def composition(path: Path, survey: Survey, names: Sequence[str]) -> tuple[int, ...]:
    """Number of particles of each species in a file.

    Raises
    ------
    TrajectoryError
        If a type of the file is none of the species.
    """
    codes = species_codes(path, survey.types, np.arange(len(survey.types), dtype=np.int8), names, survey.elements)
    return tuple(np.bincount(codes, survey.counts, minlength=len(names)).astype(int).tolist())


def check_composition(
    path: Path, survey: Survey, names: Sequence[str], first: Path, expected: Sequence[int], mixture: Mixture | None
) -> None:
    """Refuse a file of other particles than the first of its system, than its mixture, or without those to be studied.

    Raises
    ------
    TrajectoryError
        Naming the file, its composition, the other, and a remedy.
    """
    counts = composition(path, survey, names)
    found = _counted(names, counts)
    if counts != tuple(expected):
        raise TrajectoryError(
            f"composition {found} differs from {_counted(names, expected)} of {first}",
            file=path,
            remedy="make files of another composition a system of their own",
        )
    if not counts[0]:
        raise TrajectoryError(
            f"there is no particle of species {names[0]}, the first, whose structure and motion are computed; the file "
            f"holds {found}",
            file=path,
            remedy=f"name the one to study first, by {setting('systems.species')}",
        )
    if mixture is not None:
        check_fractions(path, names, counts, mixture.fractions)


def check_fractions(path: Path, names: Sequence[str], counts: Sequence[int], fractions: Sequence[float]) -> None:
    """Refuse a file of another composition than that of a mixture.

    Raises
    ------
    TrajectoryError
        Naming the file, both compositions, and a remedy.
    """
    particles = sum(counts)
    allowed = 1 + COMPOSITION * particles
    if any(abs(count - part * particles) > allowed for count, part in zip(counts, fractions, strict=True)):
        raise TrajectoryError(
            f"composition {_counted(names, counts)}; the mixture of the system has the fractions "
            f"{_counted(names, fractions)}, held to one particle and {COMPOSITION:.0%}",
            file=path,
            remedy=f"put the types in the order of its species, by {setting('systems.species')}, or give the files another "
            "system",
        )


def check_particles(path: Path, particles: int, asked: System) -> None:
    """Refuse a file of another number of particles than the study states."""
    if "particles" in asked.model_fields_set and asked.particles != particles:
        raise TrajectoryError(
            f"holds {particles} particles; {setting('systems.particles')} says {asked.particles}",
            file=path,
            remedy="correct it, or leave it out: files say how many there are",
        )


def check_density(path: Path, particles: int, box: Sequence[float], mixture: Mixture, varies: bool) -> None:
    """Refuse a file of another number density than that of the mixture its system has.

    Raises
    ------
    TrajectoryError
        Naming the file and both densities.
    """
    density, allowed = particles / math.prod(box), DENSITY_VARYING if varies else DENSITY
    if not math.isclose(density, mixture.density, rel_tol=allowed):
        raise TrajectoryError(
            f"the number density is {density:.4g}; that of the mixture of the system is {mixture.density:g}, held to "
            f"{allowed:.0%}; there are {particles} particles in a box of {' × '.join(f'{edge:g}' for edge in box)} σ",
            file=path,
            frame=0,
            remedy="lengths must be in σ of its first species; or give the files another system",
        )


def _counted(names: Sequence[str], numbers: Sequence[float]) -> str:
    return ", ".join(f"{name} {number:g}" for name, number in zip(names, numbers, strict=True))


def check_timestep(path: Path, survey: Survey, timestep: float) -> None:
    """Refuse a file whose times give another time step than the user.

    Raises
    ------
    TrajectoryError
        Naming the file and both.
    """
    found = survey.timestep
    if found is not None and not math.isclose(found, timestep, rel_tol=ROUNDING):
        raise TrajectoryError(
            f"a time step is {found:g} τ by the times in the file (ITEM: TIME), {timestep:g} τ by "
            f"{setting('source.trajectories.timestep')}",
            file=path,
            remedy=f"give {found:g}, or remove the times from the file if they are wrong",
        )
