"""The command that converts trajectory files."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daskglass.cli.bars import show_progress
from daskglass.cli.options import Cluster, Debug, Quiet, expanded
from daskglass.cli.session import SMALL, interruptible, report_outcome, who_works
from daskglass.cli.tables import print_sources, say, say_next
from daskglass.errors import DaskglassError, StudyError, in_words, writing
from daskglass.registry import READERS
from daskglass.store.durable import replace_file

if TYPE_CHECKING:
    from daskglass.sources.surveys import File
    from daskglass.stages.declare import Plan

OPTIONS = {
    "source.trajectories.path": "the pattern",
    "source.trajectories.format": "--format",
    "source.trajectories.timestep": "--timestep",
    "source.trajectories.constants": "--system, --temperature or --replica",
    "source.trajectories.table": "--table",
    "source.trajectories.rename": "--rename",
    "source.trajectories.frames": "--frames",
    "source.trajectories.ignore_images": "--ignore-images",
    "systems.species": "--species",
    "systems.temperatures": "--temperature",
    "systems.replicas": "--replica",
    "precision": "--precision",
}  # of `convert`, for the keys of a study file


def convert(
    pattern: Annotated[
        str,
        typer.Argument(
            help='files, such as "data/{system}/T{temperature:g}/r{replica:d}/traj.gsd"', show_default=False
        ),
    ],
    store: Annotated[Path, typer.Argument(help="store to create or extend", show_default=False)],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="; ".join(f"{name}: {reader.about}" for name, reader in READERS.items()),
            autocompletion=lambda: list(READERS),
        ),
    ],
    timestep: Annotated[
        float | None, typer.Option(help="τ per time step in the files; by default time counts time steps")
    ] = None,
    system: Annotated[str | None, typer.Option(help="name of the system, if the pattern has no {system}")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="temperature, if the pattern has no {temperature}; otherwise read only this one"),
    ] = None,
    replica: Annotated[
        int | None, typer.Option(help="replica, if the pattern has no {replica}; otherwise read only this one")
    ] = None,
    species: Annotated[
        list[str] | None,
        typer.Option(help="particle type in the files, the studied one first; may be repeated; needs --system"),
    ] = None,
    table: Annotated[Path | None, typer.Option(help="CSV file with labels that the pattern lacks")] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="THEIRS=OURS: our name for a field, column or state-point key")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="read only the first N frames of each file")] = None,
    ignore_images: Annotated[
        bool, typer.Option("--ignore-images", help="unwrap by the minimum image, not by images in the files")
    ] = False,
    precision: Annotated[float | None, typer.Option(help="round positions to this, in σ, for a smaller store")] = None,
    report: Annotated[
        Path | None, typer.Option(help="JSON file to write with the contents of each file", callback=expanded)
    ] = None,
    cluster: Cluster = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the files and their labels; read nothing")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Convert trajectory files to a store, and do nothing else; skip files converted before."""
    from daskglass.cluster.profiles import load_profile
    from daskglass.pipeline import run as pipeline
    from daskglass.sources.surveys import are_ensembles, find_files
    from daskglass.store.lock import locked
    from daskglass.study.load import study_of_files

    if species and system is None:
        raise StudyError("--species lists the types of one system; give --system too")
    constants = {"system": None if species else system, "temperature": temperature, "replica": replica}
    if report is not None and not report.parent.is_dir():
        raise StudyError(f"--report {report}: the folder {report.parent} does not exist")
    if report is not None and report.is_dir():
        raise StudyError(f"--report {report} is a folder; give a file")
    profile = load_profile(cluster or "local")
    with in_words(OPTIONS):
        given = study_of_files(
            store,
            format=form,
            path=pattern,
            timestep=timestep,
            constants={name: value for name, value in constants.items() if value is not None},
            table=None if table is None else str(table),
            rename=dict(_renaming(text) for text in rename or ()),
            frames=frames,
            ignore_images=ignore_images,
            precision=precision,
            systems=[{"system": system, "species": species}] if species else [],
        )
        sources = find_files(given)
        if are_ensembles(sources):
            raise StudyError(
                f"{pattern}: isoconfigurational ensembles are no trajectories to convert",
                remedy="write a study file, and bring them into a store by `daskglass run STUDY.yaml --stage convert`",
            )
    store = Path(given.store)
    again_by = shlex.join(["daskglass", *sys.argv[1:]])
    if dry_run:
        print_sources(given, sources)
        return
    with interruptible(again_by), in_words(OPTIONS), locked(store) as write_lock:
        plans: list[Plan] = []
        try:
            smallest = SMALL if cluster is None else 0.0
            with (
                who_works(profile, store, write_lock, quiet, smallest) as start,
                show_progress(store, quiet) as progress,
            ):
                plans = pipeline.plan_files(given, start)
                outcome = pipeline.convert(plans, start, progress)
        except (DaskglassError, OSError) as error:
            _write_report(report, plans, str(error).splitlines())
            raise
        _write_report(report, plans, list(dict.fromkeys(outcome.failures.values())))
    report_outcome(outcome, again_by, debug)
    if not quiet:
        say(f"{store}: {outcome.done:,} blocks of frames converted")
        say_next((f"daskglass info {shlex.quote(str(store))}", "what is in it"))
    if timestep is None:
        stated = sorted({f.survey.timestep for f in _files(plans).values() if f.survey and f.survey.timestep})
        by_files = f"; by the times in the files: {', '.join(f'{step:g}' for step in stated[:3])}" if stated else ""
        say(f"warning: time counts time steps; give τ per time step with --timestep{by_files}", error=True)


def _renaming(text: str) -> tuple[str, str]:
    theirs, equals, ours = text.partition("=")
    if not (theirs and equals and ours):
        raise StudyError(f"--rename {text}: give THEIRS=OURS, such as kT=temperature")
    return theirs, ours


def _write_report(report: Path | None, plans: list[Plan], problems: list[str]) -> None:
    """Write contents and problems of each file."""
    if report is None:
        return
    found = _files(plans)
    problems = list(dict.fromkeys([*(file.problem for file in found.values() if file.problem), *problems]))
    files = [
        {"path": str(file.path), "system": system, "run": run, "temperature": T, "replica": replica}
        | ({} if file.survey is None else file.survey.model_dump(exclude={"offsets", "last", "content", "parts"}))
        | {"problems": [text for text in problems if text.startswith(f"{file.path}:")]}
        for (system, run, T, replica), file in found.items()
    ]
    with writing(report):
        replace_file(report, json.dumps({"files": files, "problems": problems}, indent=1) + "\n")


def _files(plans: list[Plan]) -> dict[tuple[str, str, float, int], File]:
    """Files of a study, by system, run, temperature and replica."""
    from daskglass.sources.files import FromFiles

    sources = [plan.source for plan in plans if isinstance(plan.source, FromFiles)]
    return {(source.system, *place): file for source in sources for place, file in source.files.items()}
