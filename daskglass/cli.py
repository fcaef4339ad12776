"""The command line."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from daskglass.errors import DaskglassError, StoreError, StudyError

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(
    help="Softness, excess entropy and rearrangement barriers of glass-forming liquids.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
StudyFile = Annotated[Path, typer.Argument(help="study file, such as pipelines/quickstart.yaml", show_default=False)]
Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress")]


def main() -> None:
    """Entry point of the command `daskglass`."""
    debug = "--debug" in sys.argv
    # batch systems and service managers stop a program by SIGTERM: let go of the store as after Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except (DaskglassError, OSError) as error:
        if debug:
            traceback.print_exc()
        print(f"daskglass: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, StudyError) else 1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"daskglass: {type(error).__name__}: {error} (--debug shows where)", file=sys.stderr)
        sys.exit(1)


@app.command()
def run(
    study: StudyFile,
    cluster: Annotated[str, typer.Option(help="profile of the cluster")] = "local",
    stage: Annotated[str | None, typer.Option(help="only what is left of this stage")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="this stage and later ones again; recorded runs stay")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done and what it costs")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a study, or what is left of it: simulate or read, analyse, fit, draw."""
    from daskglass import pipeline
    from daskglass.cluster import connect
    from daskglass.ledger import locked
    from daskglass.plan import STAGES
    from daskglass.report import draw
    from daskglass.study import load_study

    given = load_study(study)
    for name in (stage, start):
        if name is not None and name not in STAGES:
            raise StudyError(f"no stage {name!r}: there are {', '.join(STAGES)}")
    if stage is not None and start is not None:
        raise StudyError("give --stage or --from, not both")
    if dry_run:
        _print_plan(given)
        return
    try:
        with locked(Path(given.store)), connect(cluster) as client:
            if not quiet:
                print(f"dashboard: {client.dashboard_link}", flush=True)
            with _progress(quiet) as progress:
                outcome = pipeline.run(given, client, draw, stage, start, progress)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        print("daskglass: interrupted; the same command again continues", file=sys.stderr)
        raise typer.Exit(1) from None
    for messages in outcome.warnings.values():
        for message in messages:
            print(f"warning: {message}", file=sys.stderr)
    if debug:
        for text in dict.fromkeys(outcome.tracebacks.values()):
            print(text, file=sys.stderr)
    if outcome.failures:
        causes: dict[str, list[str]] = {}
        for key, cause in outcome.failures.items():
            causes.setdefault(cause, []).append(key)
        for cause, keys in causes.items():
            print(
                f"daskglass: {keys[0]}: {cause}" + f" (and {len(keys) - 1} after it)" * (len(keys) > 1), file=sys.stderr
            )
        raise typer.Exit(1)
    if not quiet:
        from daskglass.report import folder

        print(f"{given.store}: {outcome.done} tasks done; page: {folder(Path(given.store)) / 'index.html'}")


@app.command()
def status(study: StudyFile, debug: Debug = False) -> None:
    """Show how far every stage of every system is."""
    from daskglass import pipeline
    from daskglass.study import load_study

    given = load_study(study)
    table = Table("system", "stage", "done", "stale", "missing", "core seconds")
    states = pipeline.status(given)
    for state in states:
        table.add_row(
            state.system, state.stage, str(state.done), str(state.stale or ""), str(state.missing or ""),
            f"{state.seconds:.1f}",
        )  # fmt: skip
    out.print(table)
    left = [state for state in states if state.stale or state.missing]
    known = sum(s.seconds / s.done * (s.stale + s.missing) for s in left if s.done and s.seconds)
    size = _size(Path(given.store))
    print(f"{given.store}: {_bytes(size)} on disk; " + (f"about {known:.0f} core seconds left" if left else "complete"))
    for state in states:
        for note in state.notes:
            print(f"note: {note}")


@app.command()
def info(store: Annotated[Path, typer.Argument(help="store", show_default=False)], debug: Debug = False) -> None:
    """Show what is in a store, with sizes and chunks."""
    from daskglass.store import open_store

    tree = open_store(store)
    for node in tree.subtree:
        if not node.data_vars:
            continue
        shape = ", ".join(f"{dim}: {size}" for dim, size in node.sizes.items())
        table = Table("variable", "dims", "type", "units", "chunk", "size", "on disk", title=f"{node.path}  ({shape})")
        for name, variable in node.data_vars.items():
            chunk = variable.encoding.get("chunks") or ()
            table.add_row(
                str(name), " ".join(map(str, variable.dims)), str(variable.dtype), variable.attrs.get("units", ""),
                "×".join(map(str, chunk)), _bytes(variable.nbytes), _bytes(_size(store / node.path.strip("/") / str(name))),
            )  # fmt: skip
        out.print(table)


@app.command()
def query(
    store: Annotated[Path, typer.Argument(help="store", show_default=False)],
    variable: Annotated[list[str], typer.Option(help="name of a variable; may be repeated")],
    system: Annotated[list[str] | None, typer.Option(help="name of a system; may be repeated")] = None,
    run: Annotated[str, typer.Option(help="run: production, training, relaxation, ensemble")] = "production",
    temperature: Annotated[float | None, typer.Option(help="the nearest temperature is taken")] = None,
    replica: Annotated[int | None, typer.Option(help="number of a replica")] = None,
    output: Annotated[Path | None, typer.Option("--out", help="file: .nc, .csv or .parquet")] = None,
    debug: Debug = False,
) -> None:
    """Ask a store: print, or write to a file, variables of systems at a temperature."""
    from daskglass.store import query as ask

    selection: dict[str, Any] = {"temperature": temperature, "replica": replica}
    selection = {dim: value for dim, value in selection.items() if value is not None}
    found = ask(store, system, run, variable, **selection)
    if output is None:
        print(found.compute())
        for name, array in found.data_vars.items():
            print(f"\n{name} ({array.attrs.get('units', '1')})")
            print(array.values)
    else:
        _export(found, output)


def _export(found: xr.Dataset, output: Path) -> None:
    try:
        if output.suffix == ".nc":
            found.to_netcdf(output, engine="h5netcdf")
        elif output.suffix == ".csv":
            found.to_dataframe().to_csv(output)
        elif output.suffix == ".parquet":
            found.to_dataframe().reset_index().to_parquet(output)
        else:
            raise StudyError(f"--out {output}: the name must end in .nc, .csv or .parquet")
    except ImportError as error:
        raise StoreError(f'{output}: {error}; pip install "daskglass[export]" brings what is missing') from error


@app.command()
def figures(store: Annotated[Path, typer.Argument(help="store", show_default=False)], debug: Debug = False) -> None:
    """Draw the six figures and the page of a store."""
    from daskglass.report import draw

    print(draw(store))


@contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    """Bars on a terminal, a line per tenth of a stage elsewhere, nothing if quiet."""
    if quiet:
        yield lambda stage, done, total: None
    elif out.is_terminal:
        columns = TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=out) as bars:
            known: dict[str, Any] = {}

            def show(stage: str, done: int, total: int) -> None:
                if stage not in known:
                    known[stage] = bars.add_task(stage, total=total)
                bars.update(known[stage], completed=done)

            yield show
    else:

        def line(stage: str, done: int, total: int) -> None:
            if done == total or done * 10 // total != (done - 1) * 10 // total:
                print(f"{stage}: {done} of {total}", flush=True)

        yield line


def _print_plan(study: Any) -> None:
    from daskglass.cost import costs

    plans = costs(study)
    stages = list(dict.fromkeys(stage for plan in plans for stage in plan.tasks))
    table = Table("stage", *(plan.system for plan in plans), title=f"{study.study} → {study.store}: tasks, core hours")
    for stage in stages:
        table.add_row(stage, *(f"{plan.tasks[stage]:,}  {_hours(plan.hours.get(stage, 0.0))}" for plan in plans))
    out.print(table)
    for plan in plans:
        print(
            f"{plan.system}: {plan.particles:,} particles, {plan.frames:,} frames, {plan.particle_steps:.3g} "
            f"particle-steps, {_bytes(plan.nbytes)} uncompressed in {plan.files:,} files"
        )
        for note in plan.notes:
            print(f"  {note}")
    steps, hours = sum(plan.particle_steps for plan in plans), sum(sum(plan.hours.values()) for plan in plans)
    print(
        f"total: {sum(sum(plan.tasks.values()) for plan in plans):,} tasks, {_bytes(sum(plan.nbytes for plan in plans))}, "
        f"{steps:.3g} particle-steps, about {hours:,.2g} core hours"
    )


def _hours(hours: float) -> str:
    return f"{hours:,.0f} h" if hours >= 10 else f"{hours:.2g} h" if hours >= 0.01 else "-"


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
