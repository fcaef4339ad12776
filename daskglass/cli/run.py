"""Commands that run a study and show how far it is: run, status, watch, check."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from daskglass.cli.bars import show_progress
from daskglass.cli.options import Cluster, Debug, Quiet, Store, StudyFile
from daskglass.cli.session import SMALL, interruptible, report_outcome, who_works
from daskglass.cli.tables import note, out, print_costs, print_sources, print_status, say, say_next
from daskglass.errors import StoreError, StudyError, reason
from daskglass.registry import BATCH_SYSTEMS

# what a reader asks for first, where a store has it: run and variable
QUERIES = (("ensemble", "relaxation_time"), ("scoreboard", "pearson"))


def _stages() -> list[str]:
    from daskglass.stages.registry import names

    return list(names())


def run(
    study: StudyFile,
    cluster: Cluster = None,
    systems: Annotated[
        list[str] | None, typer.Option("--system", help="run only this system, and draw nothing; repeat it for several")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="run only what is left of this stage", autocompletion=_stages)
    ] = None,
    from_stage: Annotated[
        str | None,
        typer.Option("--from", help="rerun this stage and later ones; simulated runs stay", autocompletion=_stages),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print tasks and costs; run nothing")] = False,
    report: Annotated[bool, typer.Option("--report", help="save Dask's performance report beside the store")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a study, or what is left of it: simulate or read files, analyse, fit, draw."""
    from daskglass.cluster.job_script import NO_CLUSTER, for_threads
    from daskglass.cluster.profiles import load_profile
    from daskglass.pipeline import run as pipeline
    from daskglass.pipeline.estimate import check_fits, costs, longer_than, workers_of
    from daskglass.report.tasks import figure_tasks, nothing
    from daskglass.sources.surveys import find_files
    from daskglass.sources.systems import reads_files
    from daskglass.sources.timesteps import timestep_of, unmeasured
    from daskglass.store.lock import locked
    from daskglass.study.load import load_study

    given = load_study(study)
    if systems:
        given = given.restricted_to(systems)
    threads = given.source.simulate.threads if given.source.simulate else 1
    profile = for_threads(load_profile(cluster or "local"), threads)
    path = Path(given.store)
    only, again = _stage(stage), _stage(from_stage)
    if stage is not None and from_stage is not None:
        raise StudyError("give --stage or --from, not both")
    chosen = {"--cluster": [cluster] if cluster else [], "--system": systems or [], "--stage": [stage] if stage else []}
    options = [word for option, values in chosen.items() for value in values for word in (option, value)]
    again_by = shlex.join(["daskglass", "run", str(study), *options])
    if report and profile.kind == NO_CLUSTER:
        raise StudyError("--report is Dask's, of a cluster: give another --cluster")
    if dry_run:
        workers = workers_of(profile)
        if found := find_files(given):
            print_sources(given, found)
        for system in unmeasured(given):
            note(
                f"{system.system}: timestep: auto is measured when the study runs; planned with {timestep_of(given, system):g}"
            )
        planned = costs(given, "GPU" in profile.resources)
        print_costs(given.study, given.store, planned, workers)
        if workers is not None:
            check_fits((kind for cost in planned for kind in cost.kinds), workers.memory)
        say_next((again_by, "runs it, and continues after an interruption"))
        return
    workers = workers_of(profile) if profile.kind in BATCH_SYSTEMS else None
    if workers is not None and not reads_files(given) and not path.exists():
        # for files, and for an existing store, this is checked later, before any task starts
        planned = costs(given, "GPU" in profile.resources)
        kinds = (kind for cost in planned for kind in cost.kinds)
        check_fits((kind for kind in kinds if only in (None, kind.stage)), workers.memory)
        for warning in longer_than(planned, workers.lifetime):
            note(f"warning: {warning}")
    smallest = SMALL if cluster is None and not report else 0.0
    around = _performance_report(path, quiet) if report else None
    with (
        interruptible(again_by),
        locked(path) as write_lock,
        who_works(profile, path, write_lock, quiet, smallest, around) as start,
        show_progress(path, quiet) as progress,
    ):
        draw = nothing if systems else figure_tasks
        outcome = pipeline.run(given, start, draw, only, again, progress)
    report_outcome(outcome, again_by, debug)
    if not quiet:
        say(f"{given.store}: {outcome.done:,} tasks done")
        say_next(*_look_at(path))


def _look_at(store: Path) -> Iterator[tuple[str, str]]:
    """Commands that show what a store holds, each with a remark."""
    from daskglass.report import folder

    name = shlex.quote(str(store))
    if (page := folder(store) / "index.html").exists():
        yield f"open {shlex.quote(str(page))}", "figures, and what they show"
    for run, variable in QUERIES:
        if any(store.glob(f"*/{run}/{variable}")):
            yield f"daskglass query {name} --run {run} --variable {variable}", "numbers"
            break
    else:
        yield f"daskglass info {name}", "what is in it"
    yield f"daskglass explore {name}", "particles, in a browser"


def _stage(name: str | None) -> str | None:
    from daskglass.stages.registry import names

    if name is not None and name not in names():
        raise StudyError(f"unknown stage {name!r}; the stages are {', '.join(names())}")
    return name


@contextmanager
def _performance_report(store: Path, quiet: bool) -> Iterator[None]:
    """Save Dask's performance report beside a store."""
    from distributed import performance_report

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


def status(study: StudyFile, debug: Debug = False) -> None:
    """Show the progress of each stage and system."""
    from daskglass.pipeline.status import status as status_of
    from daskglass.report.tasks import figure_tasks
    from daskglass.study.load import load_study

    given = load_study(study)
    print_status(Path(given.store), status_of(given, figure_tasks))


def watch(store: Store, debug: Debug = False) -> None:
    """Watch a run from another terminal."""
    from daskglass.cli.watching import watch as watch_run

    with suppress(KeyboardInterrupt):
        watch_run(store, out)


def check(store: Store, debug: Debug = False) -> None:
    """Read all complete results of a store and compare their checksums; the next run redoes damaged ones."""
    from daskglass.cli.store_info import size_text
    from daskglass.pipeline.check import check as check_store
    from daskglass.store.blocks import check_is_store
    from daskglass.store.lock import locked

    # the lock would create missing folders
    check_is_store(store)
    with locked(store):
        found = check_store(store)
    for problem in found.wrong.values():
        say(f"daskglass: {problem}", error=True)
    say(f"{store}: {found.whole:,} results are intact; {size_text(found.nbytes)} read")
    if found.unknown:
        say(f"{found.unknown:,} results have no checksums (from an older version) and were not compared")
    if found.wrong:
        say(f"daskglass: {len(found.wrong):,} results are damaged or missing; `daskglass run` redoes them", error=True)
        raise typer.Exit(1)
