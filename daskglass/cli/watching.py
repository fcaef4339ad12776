"""Watch a run from another terminal, by reading its files."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from daskglass.cli.fitted import Fitted
from daskglass.pipeline.progress import Follower, Progress, Row, headline, rate

EVERY = 2.0  # s between updates


def watch(store: Path, console: Console) -> None:
    """Show the progress of a run until it ends; only once if the console is not a terminal.

    Raises
    ------
    StoreError
        If there is neither a store nor a run that will create it.
    """
    follower = Follower(store)
    now = follower.look()
    if not console.is_terminal:
        console.print(shown(now), soft_wrap=True)
        return
    with Live(shown(now), console=console, auto_refresh=False) as live:
        while now.alive:
            time.sleep(EVERY)
            now = follower.look()
            live.update(shown(now), refresh=True)


def shown(now: Progress) -> RenderableType:
    """One line, a table of stages and systems, and the last warnings and failures of a run."""
    line = Text(f"{now.study}: " * bool(now.study) + headline(now), style="bold")
    parts: list[RenderableType] = [line]
    if now.dashboard:
        parts.append(Text(f"dashboard: {now.dashboard}"))
    if now.rows:
        parts.append(_table(now))
    for note in now.notes:
        style = "red" if note.kind == "failed" else "yellow"
        more = f", and {note.tasks - 1} more" * (note.tasks > 1)
        when = time.strftime("%H:%M:%S", time.localtime(note.at))
        parts.append(Text.assemble(f"{when} ", (note.kind, style), f" {note.text} ({note.key}{more})"))
    return Group(*parts)


def _table(now: Progress) -> Fitted:
    cells = {(row.stage, row.system): _cell(row) for row in now.rows}
    head = ["stage", *now.systems, "core seconds", *["particle-frames/s"] * bool(now.speed)]
    rows = []
    for stage in now.stages:
        spent = f"{now.spent[stage]:,.1f}" if stage in now.spent else ""
        speed = [rate(now.speed[stage]) if stage in now.speed else ""] * bool(now.speed)
        rows.append([stage, *(cells.get((stage, system), "") for system in now.systems), spent, *speed])
    return Fitted(head, rows, range(1 + len(now.systems), len(head)))


def _cell(row: Row) -> Text:
    whole = row.done == row.total
    text = Text(f"{row.done:,} of {row.total:,}", style="green" if whole else "dim" if not row.done else "")
    if row.running:
        text.append(f"  {row.running:,} running", style="not dim cyan")
    if row.failed:
        text.append(f"  {row.failed:,} failed", style="not dim red")
    return text
