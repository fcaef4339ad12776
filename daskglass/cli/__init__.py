"""The command line."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO
from urllib.parse import urljoin

import typer

from daskglass.cli.tables import out, print_costs, print_rows, print_sources, print_status, say, show_progress
from daskglass.errors import DaskglassError, StoreError, StudyError, in_words, reason, writing
from daskglass.registry import BATCH_SYSTEMS, FIGURES, READERS, listed
from daskglass.store.durable import replace_file
from daskglass.study.paths import expand_path, follow

if TYPE_CHECKING:
    from daskglass.cluster.connect import Connection
    from daskglass.pipeline.dispatch import Tick
    from daskglass.sources.found import File
    from daskglass.stages.declare import Plan

app = typer.Typer(
    help="Softness, excess entropy and rearrangement barriers of glass-forming liquids.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _store(path: Path) -> Path:
    return follow(expand_path(str(path)))


def _expanded(path: Path | None) -> Path | None:
    """Expand `~` and variables that the shell left in a path; options that become a study are expanded there."""
    return None if path is None else Path(expand_path(str(path)))


StudyFile = Annotated[
    Path,
    typer.Argument(help="study file, such as pipelines/quickstart.yaml", show_default=False, callback=_expanded),
]
Debug = Annotated[bool, typer.Option("--debug", help="print the traceback of an error")]
Store = Annotated[Path, typer.Argument(help="store, such as quickstart.zarr", show_default=False, callback=_store)]
Run = Annotated[str, typer.Option(help="run: production, training, relaxation, ensemble")]
Replica = Annotated[int | None, typer.Option(help="replica number")]
RANGE = "or a range such as 0.4:0.6, 0.4: or :0.6"
SKIPPED = "may be repeated; skips NaN, and -1 in codes"
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
Cluster = Annotated[str, typer.Option(help="profile in cluster.yaml")]
Quiet = Annotated[bool, typer.Option("--quiet", help="print no progress")]


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


@app.command()
def run(
    study: StudyFile,
    cluster: Cluster = "local",
    stage: Annotated[str | None, typer.Option(help="run only what is left of this stage")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="rerun this stage and later ones; simulated runs stay")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print tasks and costs; run nothing")] = False,
    report: Annotated[bool, typer.Option("--report", help="save Dask's performance report beside the store")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a study, or what is left of it: simulate or read files, analyse, fit, draw."""
    from daskglass.cluster.connect import connect
    from daskglass.cluster.profiles import load_profile
    from daskglass.pipeline import run as pipeline
    from daskglass.pipeline.estimate import check_fits, costs, longer_than, workers_of
    from daskglass.report import draw
    from daskglass.sources.found import find_files
    from daskglass.store.ledger import locked
    from daskglass.study.settings import load_study

    given, profile = load_study(study), load_profile(cluster)
    path, workers = Path(given.store), workers_of(profile)
    only, again = _stage(stage), _stage(start)
    if stage is not None and start is not None:
        raise StudyError("give --stage or --from, not both")
    if dry_run:
        if found := find_files(given):
            print_sources(given, found)
        planned = costs(given, "GPU" in profile.resources)
        print_costs(given.study, given.store, planned, workers)
        if workers is not None:
            check_fits((kind for cost in planned for kind in cost.kinds), workers.memory)
        return
    if (
        workers is not None
        and profile.kind in BATCH_SYSTEMS
        and given.source.simulate is not None
        and not path.exists()
    ):
        # for files, and for an existing store, this is checked later, before any task starts
        planned = costs(given, "GPU" in profile.resources)
        kinds = (kind for cost in planned for kind in cost.kinds)
        check_fits((kind for kind in kinds if only in (None, kind.stage)), workers.memory)
        for warning in longer_than(planned, workers.lifetime):
            _say(f"warning: {warning}")
    with (
        _interruptible(),
        locked(path) as write_lock,
        connect(profile, path, _say) as connection,
        _performance_report(path if report else None, quiet),
        show_progress(quiet) as progress,
    ):
        _announce(connection, quiet, path)
        outcome = pipeline.run(
            given,
            connection.client,
            draw,
            only,
            again,
            progress,
            _tick(connection, write_lock),
            None if workers is None else workers.memory,
        )
    _report_outcome(outcome, debug)
    if not quiet:
        from daskglass.report import folder

        say(f"{given.store}: {outcome.done} tasks done; page: {folder(path) / 'index.html'}")


def _stage(name: str | None) -> str | None:
    from daskglass.stages.registry import names

    if name is not None and name not in names():
        raise StudyError(f"unknown stage {name!r}; the stages are {', '.join(names())}")
    return name


@app.command()
def convert(
    pattern: Annotated[
        str,
        typer.Argument(
            help='files, such as "data/{system}/T{temperature:g}/r{replica:d}/traj.gsd"', show_default=False
        ),
    ],
    store: Annotated[Path, typer.Argument(help="store to create or extend", show_default=False)],
    form: Annotated[
        str, typer.Option("--format", help="; ".join(f"{name}: {reader.about}" for name, reader in READERS.items()))
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
        Path | None, typer.Option(help="JSON file to write with the contents of each file", callback=_expanded)
    ] = None,
    cluster: Cluster = "local",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the files and their labels; read nothing")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Convert trajectory files to a store, and do nothing else; skip files converted before."""
    from daskglass.cluster.connect import connect
    from daskglass.cluster.profiles import load_profile
    from daskglass.pipeline import run as pipeline
    from daskglass.sources.found import find_files
    from daskglass.store.ledger import locked
    from daskglass.study.settings import study_of_files

    if species and system is None:
        raise StudyError("--species lists the types of one system; give --system too")
    constants = {"system": None if species else system, "temperature": temperature, "replica": replica}
    if report is not None and not report.parent.is_dir():
        raise StudyError(f"--report {report}: the folder {report.parent} does not exist")
    if report is not None and report.is_dir():
        raise StudyError(f"--report {report} is a folder; give a file")
    profile = load_profile(cluster)
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
    store = Path(given.store)
    if dry_run:
        print_sources(given, sources)
        return
    with _interruptible(), in_words(OPTIONS), locked(store) as write_lock:
        plans: list[Plan] = []
        try:
            with connect(profile, store, _say) as connection, show_progress(quiet) as progress:
                _announce(connection, quiet, store)
                tick = _tick(connection, write_lock)
                plans = pipeline.plan_files(given, connection.client, tick)
                outcome = pipeline.convert(plans, connection.client, progress, tick)
        except (DaskglassError, OSError) as error:
            _write_report(report, plans, str(error).splitlines())
            raise
        _write_report(report, plans, list(dict.fromkeys(outcome.failures.values())))
    _report_outcome(outcome, debug)
    if not quiet:
        say(f"{store}: {outcome.done} blocks of frames converted; see `daskglass info {store}`")
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


def _say(text: str) -> None:
    say(text, error=True)


def _warn(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    """Print a warning without its line of code."""
    _say(f"warning: {message}")


def _announce(connection: Connection, quiet: bool, store: Path | None = None) -> None:
    """Add the study page to the dashboard, and print the addresses."""
    pages = [f"dashboard: {connection.dashboard}" + f" (from elsewhere: {connection.tunnel})" * bool(connection.tunnel)]
    if store is not None and connection.scheduler is not None:
        from daskglass.cli.study_page import PAGE, add_study_page

        connection.client.sync(add_study_page, connection.scheduler, store)
        pages.append(f"study: {urljoin(connection.dashboard, PAGE)}")
    if not quiet:
        say("\n".join(pages))


def _tick(connection: Connection, write_lock: Tick) -> Tick:
    """Write the state of a run to its lock, and stop it if no worker will come."""

    def tick(state: Mapping[str, Any]) -> None:
        write_lock({"dashboard": connection.dashboard, **state})
        connection.check()

    return tick


@contextmanager
def _performance_report(store: Path | None, quiet: bool) -> Iterator[None]:
    """Save Dask's performance report beside a store, if one is given."""
    from distributed import performance_report

    if store is None:
        yield
        return
    page = store.with_name(f"{store.stem}.performance.html")
    ran = False
    try:
        with performance_report(filename=str(page)):
            yield
            ran = True
    except OSError as error:
        if not ran:
            raise
        raise StoreError(reason(error, page)) from error
    if not quiet:
        say(f"performance report: {page}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Exit quietly after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        say("daskglass: interrupted; rerun to continue", error=True)
        raise typer.Exit(1) from None


def _report_outcome(outcome: Any, debug: bool) -> None:
    """Print warnings and failures of a run; exit with 1 after failures."""
    for messages in outcome.warnings.values():
        for message in messages:
            say(f"warning: {message}", error=True)
    if debug:
        for text in dict.fromkeys(outcome.tracebacks.values()):
            say(text, error=True)
    if outcome.failures:
        causes: dict[str, list[str]] = {}
        for key, cause in outcome.failures.items():
            causes.setdefault(cause, []).append(key)
        for cause, keys in causes.items():
            more = f", and {len(keys) - 1} after it" * (len(keys) > 1)
            say(f"daskglass: {cause} ({keys[0]}{more})", error=True)
        raise typer.Exit(1)


@app.command()
def status(study: StudyFile, debug: Debug = False) -> None:
    """Show the progress of each stage and system."""
    from daskglass.pipeline import run as pipeline
    from daskglass.study.settings import load_study

    given = load_study(study)
    print_status(Path(given.store), pipeline.status(given))


@app.command()
def watch(store: Store, debug: Debug = False) -> None:
    """Watch a run from another terminal."""
    from daskglass.cli.watching import watch as watch_run

    with suppress(KeyboardInterrupt):
        watch_run(store, out)


@app.command()
def cluster(
    name: Annotated[
        str,
        typer.Argument(
            help=f"profile of cluster.yaml, of type local, address, {listed(BATCH_SYSTEMS)}", show_default=False
        ),
    ],
    job_script: Annotated[bool, typer.Option("--job-script", help="print the job script; start nothing")] = False,
    debug: Debug = False,
) -> None:
    """Start the cluster of a profile, until Ctrl-C, to test the profile."""
    from daskglass.cluster.connect import connect
    from daskglass.cluster.job_script import job_script as script_of
    from daskglass.cluster.profiles import load_profile

    profile = load_profile(name)
    if job_script and profile.kind not in BATCH_SYSTEMS:
        raise StudyError(f"cluster {name!r} has type {profile.kind}, which has no job script")
    if profile.kind in BATCH_SYSTEMS:
        say(script_of(profile))
    if job_script:
        return
    # a name per process: there is no lock here
    with connect(profile, Path(f"daskglass.{os.getpid()}"), _say) as connection, suppress(KeyboardInterrupt):
        _announce(connection, quiet=False)
        workers = 0
        while True:
            connection.check()
            if (now := len(connection.client.nthreads())) != workers:
                workers = now
                say(f"{workers} workers")
            time.sleep(1)


@app.command()
def info(store: Store, debug: Debug = False) -> None:
    """Show the contents of a store: coordinates, variables, sizes, chunks written, and source files."""
    from daskglass.cli.store_info import describe_store, files_below, size_text

    groups = list(describe_store(store))
    out.print(f"{store}: {size_text(files_below(store)[1])} on disk", highlight=False, soft_wrap=True)
    for group in groups:
        out.print(group, highlight=False)


@app.command()
def check(store: Store, debug: Debug = False) -> None:
    """Read all complete results of a store and compare their checksums; the next run redoes damaged ones."""
    from daskglass.cli.store_info import size_text
    from daskglass.pipeline import run as pipeline
    from daskglass.store.blocks import check_is_store
    from daskglass.store.ledger import locked

    # the lock would create missing folders
    check_is_store(store)
    with locked(store):
        found = pipeline.check(store)
    for problem in found.wrong.values():
        say(f"daskglass: {problem}", error=True)
    say(f"{store}: {found.whole:,} results are intact; {size_text(found.nbytes)} read")
    if found.unknown:
        say(f"{found.unknown:,} results have no checksums (from an older version) and were not compared")
    if found.wrong:
        say(f"daskglass: {len(found.wrong):,} results are damaged or missing; `daskglass run` redoes them", error=True)
        raise typer.Exit(1)


@app.command()
def query(
    store: Store,
    variable: Annotated[list[str], typer.Option(help="variable name; may be repeated")],
    system: Annotated[list[str] | None, typer.Option(help="system name; may be repeated")] = None,
    run: Run = "production",
    temperature: Annotated[str | None, typer.Option(help=f"nearest value, {RANGE}")] = None,
    time: Annotated[str | None, typer.Option(help=f"nearest value in τ, {RANGE}")] = None,
    replica: Replica = None,
    species: Annotated[list[str] | None, typer.Option(help="particles of this species; may be repeated")] = None,
    mean: Annotated[list[str] | None, typer.Option(metavar="DIM", help=f"mean over this dimension; {SKIPPED}")] = None,
    std: Annotated[list[str] | None, typer.Option(metavar="DIM", help="standard deviation over this dimension")] = None,
    minimum: Annotated[
        list[str] | None, typer.Option("--min", metavar="DIM", help="minimum over this dimension")
    ] = None,
    maximum: Annotated[
        list[str] | None, typer.Option("--max", metavar="DIM", help="maximum over this dimension")
    ] = None,
    total: Annotated[list[str] | None, typer.Option("--sum", metavar="DIM", help="sum over this dimension")] = None,
    count: Annotated[
        list[str] | None, typer.Option(metavar="DIM", help="number of values along this dimension")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", help="file to write: .nc, .csv or .parquet", callback=_expanded)
    ] = None,
    debug: Debug = False,
) -> None:
    """Select and reduce variables of a store; print a table, or write a file.

    A table has a row for each combination of labels, also for missing values.
    """
    from daskglass.store.export import number_of_rows, save
    from daskglass.store.queries import query as ask
    from daskglass.store.queries import reduced

    reductions = {"mean": mean, "std": std, "min": minimum, "max": maximum, "sum": total, "count": count}
    asked = {how: dims for how, dims in reductions.items() if dims}
    if len(asked) > 1:
        raise StudyError(f"give only one of {' and '.join(f'--{how}' for how in asked)}")
    selection = {
        "temperature": _labels("temperature", temperature), "time": _labels("time", time), "replica": replica,
        "species": species or None,
    }  # fmt: skip
    selection = {dim: value for dim, value in selection.items() if value is not None}
    found = ask(store, system, run, variable, **selection)
    for how, dims in asked.items():
        found = reduced(found, how, dims)
    if output is None:
        print_rows(found)
    else:
        save(found, output)
        sizes = ", ".join(f"{dim} {size}" for dim, size in found.sizes.items())
        say(f"{output}: {number_of_rows(found):,} rows" if output.suffix != ".nc" else f"{output}: {sizes}")


@app.command()
def export(
    store: Store,
    output: Annotated[
        Path, typer.Argument(metavar="OUT.gsd", help="file to write", show_default=False, callback=_expanded)
    ],
    system: Annotated[str | None, typer.Option(help="system name")] = None,
    run: Run = "production",
    temperature: Annotated[float | None, typer.Option(help="nearest value")] = None,
    replica: Replica = None,
    positions: Annotated[str, typer.Option(help="position, or inherent for inherent structures")] = "position",
    variable: Annotated[
        list[str] | None, typer.Option(help="per-particle variable to colour by; may be repeated")
    ] = None,
    time: Annotated[str | None, typer.Option(help=f"value in τ, {RANGE}")] = None,
    debug: Debug = False,
) -> None:
    """Write the trajectory of one temperature and replica as GSD, for OVITO and HOOMD-blue.

    System, temperature and replica are optional if there is only one.
    """
    from daskglass.store.export import write_gsd
    from daskglass.store.queries import in_short
    from daskglass.store.queries import query as ask

    if output.suffix != ".gsd":
        raise StudyError(f"{output}: the name must end in .gsd")
    selection = {"temperature": temperature, "replica": replica, "time": _labels("time", time)}
    selection = {dim: value for dim, value in selection.items() if value is not None}
    scalars = variable or []
    row = ask(store, system, run, [positions, *scalars, "species", "box"], **selection)
    for dim in ("system", "temperature", "replica"):
        if row.sizes.get(dim, 1) > 1:
            raise StudyError(f"choose one {dim} with --{dim}: {in_short(row[dim].values, 30)}")
    row = row.squeeze([dim for dim in ("system", "temperature", "replica") if dim in row.dims])
    if "time" not in row.dims:
        row = row.assign({name: row[name].expand_dims("time") for name in (positions, *scalars)})
    write_gsd(output, row, positions, scalars)
    say(f"{output}: {row.sizes['time']:,} frames of {row.sizes['particle']:,} particles")


def _labels(name: str, text: str | None) -> float | slice | None:
    """Read `0.47` as a number and `0.4:0.6`, `0.4:` or `:0.6` as a range."""
    if text is None:
        return None
    try:
        if "_" in text or not text.isascii():
            # Python would read 1_0 as 10
            raise ValueError(text)
        ends = [float(end) if end.strip() else None for end in text.split(":")]
        if len(ends) == 1 and ends[0] is not None:
            return ends[0]
        if len(ends) == 2 and ends != [None, None]:
            return slice(*ends)
    except ValueError as error:
        raise StudyError(f"--{name} {text}: give a number, or a range such as 0.4:0.6, 0.4: or :0.6") from error
    raise StudyError(f"--{name} {text}: give a number, or a range such as 0.4:0.6, 0.4: or :0.6")


@app.command(help=f"Draw the figures of a store ({', '.join(FIGURES)}) and its page.")
def figures(store: Store, debug: Debug = False) -> None:
    """Draw the figures and the page of a store."""
    from daskglass.report import draw

    say(str(draw(store)))
