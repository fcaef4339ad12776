"""Progress of a run in its own terminal: a bar for each stage, or lines where nothing can be drawn again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from daskglass.cli.fitted import folded
from daskglass.cli.tables import out, say
from daskglass.pipeline.progress import Follower, Progress, duration, headline, pace, time_left

if TYPE_CHECKING:
    from daskglass.pipeline.run import ReportProgress

EVERY = 10.0  # s, at least, between lines of one stage and the next
WIDEST = 100  # columns


@contextmanager
def show_progress(store: Path, quiet: bool) -> Iterator[ReportProgress]:
    """Show the progress of a run of a store whose lock is held: bars on a terminal, otherwise lines; nothing if quiet."""
    if quiet:
        yield lambda stage, done, total: None
    elif out.is_terminal:
        with _bars(Follower(store)):
            yield lambda stage, done, total: None
    else:
        yield _lines(Follower(store))


@contextmanager
def _bars(follower: Follower) -> Iterator[None]:
    over = False

    def drawn() -> RenderableType:
        now = follower.look()
        return bars(now) if over else Group(bars(now), *folded(Text(headline(now), style="dim"), out.width))

    with Live(get_renderable=drawn, console=out):
        try:
            yield
        finally:
            over = True


def bars(now: Progress) -> RenderableType:
    """A line for each stage: its name, a bar, tasks done, tasks in a time or the failed ones, and the time left."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for width in (0, 8, 12):
        table.add_column(no_wrap=True, justify="right", min_width=width)  # bars keep their length
    for stage in now.stages:
        row = now.of_stage(stage)
        speed = Text(pace(now.pace[stage]) if row.left and stage in now.pace else "")
        if row.failed:
            speed = Text(f"{row.failed:,} failed", style="red")
        left = f"{duration(now.left[stage])} left" if stage in now.left else ""
        table.add_row(stage, ProgressBar(row.total, row.done), f"{row.done:,}/{row.total:,}", speed, left)
    return Constrain(table, WIDEST)


def _lines(follower: Follower) -> ReportProgress:
    """A line as a stage begins and ends, and, if that takes long, at each tenth of it."""
    begun: set[str] = set()
    last = time.monotonic()

    def line(stage: str, done: int, total: int) -> None:
        nonlocal last
        text = f"{stage}: {done:,} of {total:,}"
        if done == total or stage not in begun:
            say(text)
        elif done * 10 // total != (done - 1) * 10 // total and time.monotonic() - last >= EVERY:
            say(f"{text}; {time_left(follower.look())}")
        else:
            return
        begun.add(stage)
        last = time.monotonic()

    return line
