"""The command line."""

from __future__ import annotations

import importlib.metadata
import signal
import sys
import traceback
import warnings
from typing import Annotated, TextIO

import typer

from daskglass.cli import cite, cluster, compare, convert, explore, new, results, run
from daskglass.cli.tables import note, say
from daskglass.errors import DaskglassError, StudyError, reason
from daskglass.registry import FIGURES

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
# in the order of `daskglass --help`
for command in (
    new.new, run.run, convert.convert, run.status, run.watch, cluster.cluster, results.info, run.check, results.query,
    explore.explore, results.export, compare.tables, compare.compare, cite.cite,
):  # fmt: skip
    app.command()(command)
app.command(help=f"Draw the figures of a store ({', '.join(FIGURES)}) and its page.")(results.figures)


def _version(asked: bool) -> None:
    if asked:
        say(f"daskglass {importlib.metadata.version('daskglass')}")
        raise typer.Exit


@app.callback()
def daskglass(
    version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Softness, excess entropy and rearrangement barriers of glass-forming liquids."""


def main() -> None:
    """Entry point of the command `daskglass`."""
    debug = "--debug" in sys.argv
    # batch systems and service managers stop a program by SIGTERM: release the store as after Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.showwarning = _warn
    try:
        app()
    except (DaskglassError, OSError) as error:
        if debug:
            say(traceback.format_exc(), error=True)
        say(f"daskglass: {reason(error) if isinstance(error, OSError) else error}", error=True)
        sys.exit(2 if isinstance(error, StudyError) else 1)
    except Exception as error:
        if debug:
            say(traceback.format_exc(), error=True)
        say(f"daskglass: {type(error).__name__}: {error} (--debug shows where)", error=True)
        sys.exit(1)


def _warn(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    """Print a warning without its line of code."""
    note(f"warning: {message}")
