"""What a study of existing files must say, as far as the files tell: systems, temperatures, replicas, times, lengths."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

import numpy as np

from daskglass.errors import DaskglassError, StudyError, TrajectoryError
from daskglass.physics import defaults
from daskglass.physics.labels import distinct
from daskglass.physics.systems import Mixture
from daskglass.registry import READERS, listed
from daskglass.sources.surveys import File, Over, by_system, file_key, find_files, look, survey_sources
from daskglass.store.ledger import Ledger
from daskglass.study.load import found_system, study_of_files
from daskglass.study.templates import edited, quoted, template, text_at
from daskglass.trajectories.guess import MOST_SHOWN
from daskglass.trajectories.isoconfigurational import Contents, scan
from daskglass.trajectories.locate import Located, locate
from daskglass.trajectories.mapping import Trajectory, read_table
from daskglass.trajectories.patterns import RUNS, find_matches, parse_pattern
from daskglass.trajectories.several_files import file_of
from daskglass.trajectories.survey import ROUNDING, Survey

OF_FILES, OF_ENSEMBLES = "trajectories", "propensity"  # templates
CHANGE = "# *"  # marks a line of a study file that is to be changed, as in cluster.yaml
Place = tuple[str, float, int]  # run, temperature and replica


@dataclass
class Findings:
    """A study file, and what its author is to know.

    Attributes
    ----------
    text : of the study file
    found : what files hold, a line each
    unknown : what is not in them, and what to do about it
    ledger : remembers the surveys of the files; it is not on disk
    complete : whether all labels are known, without which no study runs
    replica : the only one that is read, though there are others; None if all are, or the first
    """

    text: str
    ledger: Ledger
    complete: bool = True
    replica: int | None = None
    found: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def look_at(data: str, name: str, kind: str | None = None, over: Over = map) -> Findings:
    """Look into files, and write the study of them.

    Parameters
    ----------
    data : see `locate`
    name : of the study
    kind : template; by default the one that fits the files
    over : runs a function over lists of its arguments, as `map` does

    Raises
    ------
    StudyError, TrajectoryError
        If no file can be used, or the template is of other studies.
    """
    located = locate(data)
    ensembles = READERS[located.format].ensembles
    fits = OF_ENSEMBLES if ensembles else OF_FILES
    if kind not in (None, fits):
        raise StudyError(
            f"--from {kind}: {data} holds {READERS[located.format].about}, which the template {fits} is for",
            remedy="leave --from out, or --data",
        )
    findings = Findings(template(fits, name), Ledger(Path(f"{name}.zarr")), unknown=list(located.unknown))
    findings.found.append(f"{_number(len(located.files), 'file')} of format {located.format}: {located.path}")
    findings.found += [f"labels by the table {located.table}"] * bool(located.table) + list(located.notes)
    if ensembles:
        _of_ensembles(located, findings)
    else:
        _of_trajectories(located, name, findings, over)
    return findings


# --- trajectories ----------------------------------------------------------------------------------------------------


def _of_trajectories(located: Located, name: str, findings: Findings, over: Over) -> None:
    """Fill in what files of trajectories hold."""
    files = _surveyed(located, name, findings, over)
    every = [file for system in files.values() for file in system.values()]
    runs: dict[str, list[Survey]] = {}
    for place, file in (item for system in files.values() for item in system.items()):
        if file.survey is not None:
            runs.setdefault(place[0], []).append(file.survey)
    if not runs:
        raise TrajectoryError("\n".join(dict.fromkeys(file.problem for file in every)))
    findings.unknown += dict.fromkeys(file.problem for file in every if file.survey is None)
    edits = {
        ("systems",): "\n  ".join(line for system in files for line in _system(system, files[system], findings)),
        ("source", "trajectories"): "\n    ".join(_source(located, runs, findings)),
        ("softness",): f"{{train_on: {{run: {RUNS[1] if RUNS[1] in runs else RUNS[0]}}}}}",
    }
    edge = min(survey.shortest for surveys in runs.values() for survey in surveys)
    if edge < 2 * defaults.R_MAX:
        bins = math.floor(edge / 2 / defaults.BIN_WIDTH + 1e-6)
        edits["radial", "r_max"] = f"{bins * defaults.BIN_WIDTH:.4g}"
    findings.text = edited(findings.text, edits)
    for file in every:
        if file.survey is not None:
            findings.ledger.marks[file_key(file.path)] = file.survey.model_dump()


def _surveyed(located: Located, name: str, findings: Findings, over: Over) -> dict[str, dict[Place, File]]:
    """Files by system and place, and what they hold; without labels, the first of them."""
    study = study_of_files(
        Path(f"{name}.zarr"),
        format=located.format,
        path=located.path,
        table=located.table or None,
        rename=dict(located.rename),
        systems=[] if "system" in located.labels else [{"system": name}],
    )
    if "temperature" not in located.labels:
        # names with a number that may be one have been asked about
        findings.unknown += [_no_temperature(located)] * ("temperature_written" not in located.labels)
        return _first_of_systems(located, name, findings)
    try:
        found = find_files(study)
        every = by_system(survey_sources(study, findings.ledger, found, over))
    except DaskglassError as error:
        findings.unknown.append(str(error))
        return _first_of_systems(located, name, findings)
    files = set(map(Path, located.files))
    named = {source.path for source in found if not files.isdisjoint(_files(source))}
    if more := sum(len(_files(source)) for source in found if source.path not in named):
        findings.found.append(
            f"{_number(more, 'other file')} by such names: the study has the temperatures and replicas of the rest; "
            "`daskglass run --dry-run` lists all"
        )
        _restrict(sorted({source.replica for source in found}), {s.replica for s in found if s.path in named}, findings)
    return {
        system: kept
        for system, of in every.items()
        if (kept := {place: file for place, file in of.items() if file.path in named})
    }


def _no_temperature(located: Located) -> str:
    """What to do where no name or table says the temperature."""
    words = sorted(located.systems)
    otherwise = "put it into the names, or into a table named by `table`"
    if located.table:
        columns = listed(map(quoted, read_table(Path(located.table))[0]), "or")
        otherwise = f"say which column of {located.table} it is, such as `rename: {{T_K: temperature}}`: {columns}"
    elif len(words) > 1:
        otherwise = (
            f"if {listed(words[:MOST_SHOWN], 'and')}{' …' * (len(words) > MOST_SHOWN)} stand for temperatures, write {{state}} "
            "for {system} in `path`, leave one system under `systems`, and name by `table` a table with the columns state and "
            "temperature"
        )
    return f"the temperature: give it on the line marked *, by `constants`, if all files have the same; otherwise {otherwise}"


def _first_of_systems(located: Located, name: str, findings: Findings) -> dict[str, dict[Place, File]]:
    """The first file of each system, where it is not known which temperatures and replicas files are of."""
    findings.complete = False
    place = RUNS[0], math.nan, 0
    return {
        system: {place: look(Trajectory(Path(file), system, *place), located.format, None)}
        for system, file in (located.systems or {name: located.files[0]}).items()
    }


def _restrict(there: Sequence[int], named: set[int], findings: Findings) -> None:
    """Have the study read the replicas that were named, where it would read the first that are there."""
    if set(there[: len(named)]) == named:
        return
    if len(named) == 1:
        [findings.replica] = named
    else:
        findings.unknown.append(
            f"how to read replicas {listed(map(str, sorted(named)), 'and')} alone: the study reads the first {len(named)} of "
            f"{listed(map(str, there), 'and')}; put the others elsewhere, or write a table of the files"
        )


def _files(source: Trajectory) -> list[Path]:
    return [file_of(source.path, step) for step in source.steps] or [source.path]


def _system(name: str, files: Mapping[Place, File], findings: Findings) -> list[str]:
    """Lines of a system: what its files hold, and its temperatures and replicas."""
    mixture = found_system(name).mixture
    surveys = [file.survey for file in files.values() if file.survey is not None]
    lines = [f"# {text}" for text in dict.fromkeys(_particles(survey, mixture) for survey in surveys)]
    findings.found += [f"{name}: {line[2:]}" for line in lines]
    if len(lines) > 1:
        findings.unknown.append(f"{name}: files of other particles than the rest; they are a system of their own")
    if not findings.complete:
        return [*lines, f"- {{system: {quoted(name)}}}"]
    whole = [place for place, file in files.items() if file.survey is not None]
    production = {(T, replica) for run, T, replica in whole if run == RUNS[0]} or {place[1:] for place in whole}
    temperatures = sorted(distinct({T for T, _ in production}), reverse=True)
    replicas = sorted({replica for _, replica in production})
    kept = list(takewhile(lambda replica: all((T, replica) in production for T in temperatures), replicas))
    seeds = ""
    if not kept:
        kept = replicas[:1]
        seeds = (
            "; if the numbers are seeds, write {seed} for {replica} in `path`, list all temperatures and the number of replicas "
            "under `systems`, and name by `table` a table with the columns temperature, seed and replica: a line for each file, "
            "replicas of each temperature counted from 0"
        )
        temperatures = [T for T in temperatures if (T, kept[0]) in production]
    temperatures_of_all = {T for T, _ in production}
    absent = sorted(
        f"T = {T:g}, replica {k}" for T in temperatures_of_all for k in replicas if (T, k) not in production
    )
    if absent:
        shown = f"{'; '.join(absent[:MOST_SHOWN])}{' …' * (len(absent) > MOST_SHOWN)}"
        left = f"{_number(len(temperatures), 'temperature')} and {_number(len(kept), 'replica')}"
        findings.unknown.append(
            f"{name}: no file of {shown}: every temperature needs the same replicas, and the study leaves out what some lack; it "
            f"has {left}{seeds}"
        )
    temperatures_text = ", ".join(f"{T!r}" for T in temperatures)
    findings.found.append(f"{name}: T = {temperatures_text}; {_number(len(kept), 'replica')}")
    if mixture is None:
        findings.unknown.append(
            f"{name}: the potential: structure is thermal; `inherent: {{engine: native}}` and a `mixture` of it add "
            "inherent structures"
        )
    return [*lines, f"- {{system: {quoted(name)}, temperatures: [{temperatures_text}], replicas: {len(kept)}}}"]


def _particles(survey: Survey, mixture: Mixture | None) -> str:
    """Particles and box of a file, in words."""
    # files name their types as they like; a comment is one line
    types = [name if name.isprintable() else ascii(name) for name in survey.types]
    species = ", ".join(f"{name}: {count:,}" for name, count in zip(types, survey.counts, strict=True))
    edges = " × ".join(f"{edge:.5g}" for edge in survey.box)
    box = f"a box of {edges} σ" + " at first, which varies" * survey.box_varies
    return (
        f"{survey.particles:,} particles ({species}) in {box}; {mixture.species[0] if mixture else types[0]} is studied"
    )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _source(located: Located, runs: Mapping[str, Sequence[Survey]], findings: Findings) -> list[str]:
    """Lines of `source.trajectories`."""
    shortest = []
    if findings.replica is None:
        lines = _where(located)
    else:
        lines = _where(replace(located, path=_as_spelled(located.path, findings.replica)))
        lines.append(f"constants: {{replica: {findings.replica}}}")
    for run, surveys in runs.items():
        frames, intervals = (sorted({getattr(survey, name) for survey in surveys}) for name in ("frames", "interval"))
        times = (
            f"{run}: {listed(map(str, frames), 'and')} frames, {listed(map(str, intervals), 'and')} time steps apart"
        )
        findings.found.append(times)
        lines.append(f"# {times}")
        if len(intervals) > 1:
            findings.unknown.append(
                f"{run}: frames are not as far apart in all files, as a run needs: leave some files out"
            )
        if len(frames) > 1:
            findings.unknown.append(
                f"{run}: files of {listed(map(str, frames), 'and')} frames: the first {frames[0]} are read"
            )
            shortest.append(frames[0])
    if shortest:
        lines.append(f"frames: {min(shortest)}    # of each file; the shortest has no more")
    return [*lines, _timestep(runs, findings)]


def _as_spelled(path: str, replica: int) -> str:
    """Pattern that writes the number of a replica as names of files do, which may begin with zeros."""
    for spec in ("", *(f":0{width}d" for width in range(2, 10))):
        field = f"{{replica{spec}}}"
        if find_matches(parse_pattern(path.replace("{replica}", field.format(replica=replica)))):
            return path.replace("{replica}", field)
    return path


def _timestep(runs: Mapping[str, Sequence[Survey]], findings: Findings) -> str:
    """Line of the time step: of the files, or else of the template, marked to be changed."""
    every = [survey for surveys in runs.values() for survey in surveys]
    stated = sorted({survey.timestep for survey in every if survey.timestep is not None})
    if stated and math.isclose(stated[0], stated[-1], rel_tol=ROUNDING):
        findings.found.append(f"a time step is {stated[0]:g} τ by the times in the files")
        return f"timestep: {stated[0]:.6g}"
    step = float(text_at(findings.text, ("source", "trajectories", "timestep")))
    findings.unknown.append(
        f"the length of a time step: the line marked * says {step:g} τ, so that frames are {every[0].interval * step:g} τ apart; "
        "change it to what you simulated with"
    )
    return f"timestep: {step:g}    {CHANGE} τ of a time step: not in the files; this is the template's"


def _where(located: Located) -> list[str]:
    """Lines that say where files are, and what they belong to."""
    lines = [f"format: {located.format}", f"path: {json.dumps(located.path, ensure_ascii=False)}"]
    lines += [f"table: {quoted(located.table)}"] * bool(located.table)
    if located.rename:
        pairs = ", ".join(f"{quoted(theirs)}: {ours}" for theirs, ours in located.rename.items())
        lines.append(f"rename: {{{pairs}}}")
    needed = {"temperature": "0.5"} | (
        {"configuration": "1", "lag": "100"} if READERS[located.format].ensembles else {}
    )
    if lacking := {name: value for name, value in needed.items() if name not in located.labels}:
        constants = ", ".join(f"{name}: {value}" for name, value in lacking.items())
        lines.append(
            f"# constants: {{{constants}}}    {CHANGE} if the same for all files; otherwise in the path, or in a table"
        )
    return lines


# --- isoconfigurational ensembles ------------------------------------------------------------------------------------


def _of_ensembles(located: Located, findings: Findings) -> None:
    """Fill in what files of ensembles hold: less than trajectories, as they have no times, boxes or names of species."""
    contents: dict[str, Contents] = {}
    for path in located.files:
        try:
            contents[path] = scan(Path(path))
        except TrajectoryError as error:
            findings.unknown.append(str(error))
    if not contents:
        raise TrajectoryError("\n".join(findings.unknown))
    for text in dict.fromkeys(map(_ensemble, contents.values())):
        findings.found.append(text)
    findings.text = edited(findings.text, {("source", "trajectories"): "\n    ".join(_where(located))})
    lacking = [name for name in ("temperature", "configuration", "lag") if name not in located.labels]
    findings.unknown += [f"the {name} of files: give it by `constants`, in the path or in a table" for name in lacking]
    findings.complete = not lacking
    if "box" not in located.labels:
        findings.unknown.append(
            "the edge of the box: by the density of the mixture, unless `constants: {box: …}` gives it in σ"
        )
    findings.unknown.append("the potential: the mixture is the template's; change it to yours")
    if "system" in located.labels:
        findings.unknown.append("which system a mixture is of: give every name in the paths a system with its mixture")


def _ensemble(contents: Contents) -> str:
    counts = ", ".join(f"{count:,}" for count in np.bincount(contents.types))
    motion = f"ends of {contents.trajectories} trajectories" if contents.trajectories else "propensities"
    return f"{contents.types.size:,} particles (by species code: {counts}); {motion}"
