"""Files of a study of existing trajectories: where they belong, what they hold, and whether they agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daskglass.errors import TrajectoryError
from daskglass.ledger import Ledger
from daskglass.study import Study
from daskglass.trajectories import get_format
from daskglass.trajectories.mapping import Source, find_sources, read_table
from daskglass.trajectories.signac import project_rows
from daskglass.trajectories.survey import Survey, survey_file


@dataclass(frozen=True)
class File:
    """A file of the user's, and what it holds; None where it cannot be used: then `problem` says why."""

    path: Path
    survey: Survey | None
    problem: str = ""


Files = Mapping[tuple[str, float, int], File]  # by run, temperature and replica
Look = Callable[[Path, str, Survey | None], File]
Over = Callable[[Look, Sequence[Path], Sequence[str], Sequence[Survey | None]], Iterable[File]]


def sources_of(study: Study) -> list[Source]:
    """Files of a study, and where they belong, from their names alone.

    Raises
    ------
    StudyError
        If the study does not say where files belong.
    TrajectoryError
        If no file is found, or two belong in one place.
    """
    given = study.source.trajectories
    assert given is not None
    pattern: str = given.path
    rows: Sequence[Mapping[str, str]] = ({},)
    if given.format == "signac":
        pattern, rows = project_rows(given.path)
    elif given.table is not None:
        rows = read_table(Path(given.table))
    constants = dict(given.constants)
    told = {given.rename.get(name, name) for row in rows for name in row} | {given.rename.get(n, n) for n in constants}
    if len(study.systems) == 1 and "system" not in told:
        constants["system"] = study.systems[0].system
    return find_sources(pattern, constants, rows, given.rename)


def survey_sources(study: Study, ledger: Ledger, over: Over = map) -> dict[str, dict[tuple[str, float, int], File]]:
    """Look into every file of a study that the ledger does not know as it is; by system.

    Parameters
    ----------
    study : of existing trajectories
    ledger : of its store
    over : runs a function over lists of its arguments, as `map` does
    """
    assert study.source.trajectories is not None
    wanted = {system.system for system in study.systems}
    sources = [source for source in sources_of(study) if not wanted or source.system in wanted]
    marks = [ledger.marks.get(file_key(source.path)) for source in sources]
    known = [None if mark is None else Survey.model_validate(mark) for mark in marks]
    form = study.source.trajectories.reader
    files: dict[str, dict[tuple[str, float, int], File]] = {}
    found = over(look, [source.path for source in sources], [form] * len(sources), known)
    for source, file in zip(sources, found, strict=True):
        place = source.run, source.temperature, source.replica
        files.setdefault(source.system, {})[place] = _reaching(file, study.source.trajectories.frames)
    return files


def _reaching(file: File, frames: int | None) -> File:
    """Refuse a file that is damaged before its first so many frames end, or anywhere where all are asked for."""
    survey = file.survey
    if survey is None or not survey.damage or (frames is not None and frames <= survey.frames):
        return file
    return File(file.path, None, survey.damage)


def look(path: Path, form: str, known: Survey | None) -> File:
    """Survey a file; what is wrong with it fails the tasks that read it, and stops no other."""
    try:
        return File(path, survey_file(path, get_format(form), known))
    except TrajectoryError as error:
        return File(path, None, str(error))


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
        "species": "the particles must be of the same species in the same order",
        "interval": "the frames of a run must be as many time steps apart in every file",
        "frames": "`frames:` under source.trajectories, or --frames, takes the first so many of every file",
    }
    for name, remedy in asked.items():
        if name == "frames" and frames is not None:
            continue
        one, two = getattr(first, name), getattr(second, name)
        if one != two:
            # of the species only hashes are known
            what = "species differ from those" if name == "species" else f"{name} {two} differs from {one}"
            raise TrajectoryError(f"{other}: {what} of {path}: {remedy}")
