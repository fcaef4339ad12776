"""What commands that have tasks done share: who does them, addresses, the lock, Ctrl-C, failures."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import typer

from daskglass.cli.tables import note, remark, say

if TYPE_CHECKING:
    from daskglass.cluster.connect import Connection
    from daskglass.cluster.job_script import Profile
    from daskglass.pipeline.dispatch import Executor, Start, Tick

SMALL = 30.0  # s of work that is done sooner than workers have started


@contextmanager
def who_works(
    profile: Profile,
    store: Path,
    write_lock: Tick,
    quiet: bool,
    smallest: float = 0.0,
    around: AbstractContextManager[None] | None = None,
) -> Iterator[Start]:
    """Yield a function that starts the cluster of a profile once there is work for it.

    Parameters
    ----------
    smallest : seconds of work that a cluster is started for; less is done in this process
    around : entered once the cluster runs
    """
    from daskglass.cluster.job_script import NO_CLUSTER
    from daskglass.pipeline.estimate import workers_of
    from daskglass.pipeline.here import Here

    with ExitStack() as stack:
        started: list[Executor] = []
        told = quiet or profile.kind == NO_CLUSTER

        def start(seconds: float) -> Executor:
            nonlocal told
            if started:
                return started[0]
            workers = workers_of(profile)
            memory = None if workers is None else workers.memory
            if profile.kind == NO_CLUSTER or seconds < smallest:
                if not told:
                    say(f"about {max(seconds, 1):.0f} s of work: done in this process; --cluster local starts workers")
                    told = True
                return Here(write_lock, memory)
            from daskglass.cluster.connect import connect
            from daskglass.pipeline.on_dask import OnDask

            connection = stack.enter_context(connect(profile, store, note))
            announce(connection, quiet, store)
            stack.enter_context(around or nullcontext())
            started.append(OnDask(connection.client, tick_of(connection, write_lock), memory))
            return started[0]

        yield start


def announce(connection: Connection, quiet: bool, store: Path | None = None) -> None:
    """Add the study page to the dashboard, and print the addresses."""
    pages = [f"dashboard: {connection.dashboard}" + f" (from elsewhere: {connection.tunnel})" * bool(connection.tunnel)]
    if store is not None and connection.scheduler is not None:
        from daskglass.cli.study_page import PAGE, add_study_page

        connection.client.sync(add_study_page, connection.scheduler, store)
        pages.append(f"study: {urljoin(connection.dashboard, PAGE)}")
        pages.append(f"watch: daskglass watch {shlex.quote(str(store))}")
    if not quiet:
        say("\n".join(pages))


def tick_of(connection: Connection, write_lock: Tick) -> Tick:
    """Write the state of a run to its lock, and stop it if no worker will come."""

    def tick(state: Mapping[str, Any]) -> None:
        write_lock({"dashboard": connection.dashboard, **state})
        connection.check()

    return tick


@contextmanager
def interruptible(command: str) -> Iterator[None]:
    """Exit quietly after Ctrl-C, naming the command that continues."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"daskglass: interrupted; to continue: {command}", error=True)
        raise typer.Exit(1) from None


def report_outcome(outcome: Any, command: str, debug: bool) -> None:
    """Print warnings and failures of a run, and the command that continues after failures; exit with 1 then."""
    from daskglass.store.ledger import stage_and_system

    warned: dict[tuple[str, ...], list[str]] = {}
    for key, texts in outcome.warnings.items():
        for text in texts:
            warned.setdefault((text, *stage_and_system(key)), []).append(key)
    for (text, *_), keys in warned.items():
        remark(f"warning: {text} ({keys[0]}{_more(keys)})", error=True)
    if debug:
        for text in dict.fromkeys(outcome.tracebacks.values()):
            say(text, error=True)
    if outcome.failures:
        causes: dict[str, list[str]] = {}
        for key, cause in outcome.failures.items():
            causes.setdefault(cause, []).append(key)
        for cause, keys in causes.items():
            remark(f"daskglass: {cause} ({keys[0]}{_more(keys)})", error=True)
        say(f"daskglass: {len(outcome.failures):,} tasks failed; fix the cause, then: {command}", error=True)
        raise typer.Exit(1)


def _more(keys: Sequence[str]) -> str:
    return f", and {len(keys) - 1:,} more" * (len(keys) > 1)
