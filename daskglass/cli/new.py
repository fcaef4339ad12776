"""The command that writes a study file to begin from."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daskglass.cli.options import Debug
from daskglass.cli.session import interruptible
from daskglass.cli.tables import out, say, say_next
from daskglass.cluster.shipped import FILE, profiles_of
from daskglass.errors import DaskglassError, StudyError, writing
from daskglass.registry import BATCH_SYSTEMS, TEMPLATES, listed

if TYPE_CHECKING:
    from daskglass.sources.findings import Findings


def new(
    name: Annotated[
        str, typer.Argument(help="name of the study: NAME.yaml is written into the working folder", show_default=False)
    ],
    template: Annotated[
        str | None,
        typer.Option(
            "--from",
            help=f"begin from {listed(TEMPLATES)}; by default quickstart, and with --data what fits the files",
            show_default=False,
            autocompletion=lambda: list(TEMPLATES),
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help='look into these files and fill in what they hold: a folder, "data/*/traj.gsd", or '
            '"data/{system}/T{temperature}/r{replica}/traj.gsd"',
            show_default=False,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help=f"write cluster.yaml too, with the profiles of {listed(BATCH_SYSTEMS)}",
            show_default=False,
            autocompletion=lambda: list(BATCH_SYSTEMS),
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a study file to begin from, with comments; with --data, filled in from existing trajectories."""
    from daskglass.study import templates

    templates.check_name(name)
    study = Path(f"{name}.yaml")
    texts = {} if cluster is None else {Path(FILE): profiles_of(cluster)}
    _check_free([study, *texts])
    first = ""
    if data is None:
        begun = template or TEMPLATES[0]
        texts[study] = templates.template(begun, name)
        write(texts)
        say(f"{study}: begun from {begun}")
        if "path: " in texts[study]:
            first = f"say where the files are, by `path` in {study} (--data does so itself); then "
    else:
        from daskglass.sources.findings import CHANGE, look_at

        with interruptible(shlex.join(["daskglass", *sys.argv[1:]])):
            findings = look_at(data, name, template, _showing_progress)
        texts[study] = findings.text
        write(texts)
        problems = _problems(study, findings)
        if problems or not findings.complete:
            first = f"fill in what is not known, in {study}; then "
        for text in (*findings.found, *(f"not known: {text}" for text in findings.unknown), *problems):
            say(text)
        say(f"{study}: filled in" + "; change the lines marked *" * (CHANGE in findings.text))
    if cluster is not None:
        say(f"{FILE}: change the lines marked *")
    on = "" if cluster is None else f" --cluster {cluster}"
    say_next((f"{first}daskglass run {study}{on} --dry-run", "what it costs"), (f"daskglass run {study}{on}", ""))


def _showing_progress(function: Callable[..., Any], *lists: Sequence[Any]) -> Iterator[Any]:
    """Map, with a bar on a terminal: large dumps take minutes."""
    from rich.progress import track

    every = zip(*lists, strict=True)
    for arguments in track(every, "look", len(lists[0]), console=out, disable=not out.is_terminal):
        yield function(*arguments)


def _problems(study: Path, findings: Findings) -> list[str]:
    """Why a study that was written does not run as it is."""
    from daskglass.pipeline.plan import plan_study
    from daskglass.study.load import load_study

    if not findings.complete:
        return []
    try:
        plan_study(load_study(study), findings.ledger)
    except DaskglassError as error:
        return [f"the study does not run yet: {error}"]
    return []


def _check_free(files: list[Path]) -> None:
    for file in files:
        if os.path.lexists(file):
            raise _taken(file)


def write(texts: Mapping[Path, str]) -> None:
    """Write files that are not there yet."""
    for file, text in texts.items():
        with writing(file):
            try:
                written = file.open("x", encoding="utf-8")
            except FileExistsError:
                raise _taken(file) from None
            with written:
                written.write(text)


def _taken(file: Path) -> StudyError:
    other = "leave --cluster out to keep it" if file.name == FILE else "choose another name"
    return StudyError("is there already, and is not overwritten", file=file, remedy=f"{other}, or move it away")
