"""Output of the commands: progress, and tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from daskglass.cli.fitted import Fitted, folded, printable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from daskglass.pipeline.estimate import Cost, Workers
    from daskglass.pipeline.status import StageStatus
    from daskglass.study.settings import Study
    from daskglass.trajectories.mapping import Trajectory

ALL_ROWS, FIRST_ROWS = 60, 20  # longest table printed in full, and rows printed of a longer one

WORTH_SAYING = 0.9  # of the wall time: what saves less is within the error of the estimate


class SafeConsole(Console):
    """A console that prints all text literally and in full: no markup, no emoji codes, no control characters, no cropping."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    @property
    def is_terminal(self) -> bool:
        """Whether what was printed can be drawn again: notebooks lend their commands a terminal that cannot."""
        return self.file.isatty() and os.environ.get("TERM") != "dumb" and "JPY_PARENT_PID" not in os.environ

    def print(self, *objects: Any, crop: bool = False, **options: Any) -> None:
        """Print; a word longer than a line goes on beyond it."""
        super().print(*objects, crop=crop, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render with all control characters escaped, except those of the console itself."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


out = SafeConsole()


def say(text: str, error: bool = False) -> None:
    """Print text immediately; errors to standard error."""
    print(printable(text), file=sys.stderr if error else sys.stdout, flush=True)


def note(text: str) -> None:
    """Print text immediately to standard error."""
    say(text, error=True)


def remark(text: str, error: bool = False) -> None:
    """Print a sentence immediately; on a terminal, folded at spaces."""
    text = printable(text)
    say("\n".join(line.plain for line in folded(Text(text), out.width)) if out.is_terminal else text, error)


def say_next(*commands: tuple[str, str]) -> None:
    """Print what may be done next, with a remark on each where it has room."""
    for number, (command, why) in enumerate(commands):
        line = f"{'' if number else 'next:':6}{command}"
        remarked = f"{line}    # {why}"
        say(remarked if why and len(remarked) <= out.width else line)


def print_sources(study: Study, sources: Iterable[Trajectory]) -> None:
    """Print the files with their labels."""
    from daskglass.physics.labels import find

    sources = list(sources)
    labels = ("configuration", "trajectory", "lag")
    own = [name for name in labels if any(getattr(source, name) is not None for source in sources)]
    # files of ensembles are of one run
    run = [] if own else ["run"]
    rows = []
    listed = {system.system: system for system in study.systems}
    replicas: dict[str, list[int]] = {}
    for name in {source.system for source in sources}:
        asked = listed[name].replicas if name in listed else None
        replicas[name] = sorted({source.replica for source in sources if source.system == name})[:asked]
    for source in sources:
        system = listed.get(source.system)
        unlisted = (
            system is not None and system.temperatures != () and find(system.temperatures, source.temperature) is None
        )
        left_out = bool(listed) and (system is None or unlisted or source.replica not in replicas[source.system])
        rows.append([
            source.system, *(source.run for _ in run), f"{source.temperature:g}", str(source.replica),
            *(_label(getattr(source, name)) for name in own),
            f"{source.path}" + (f" ({len(source.steps)} files)" if source.steps else "") + " (not in the study)" * left_out,
        ])  # fmt: skip
    out.print(Fitted(["system", *run, "temperature", "replica", *own, "file"], rows))


def _label(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def print_costs(study: str, store: str, plans: Sequence[Cost], workers: Workers | None = None) -> None:
    """Print the cost of a study: tasks, hours and memory per stage, bytes, files, time steps, and wall time."""
    from daskglass.cli.store_info import size_text
    from daskglass.pipeline.estimate import best_threads, largest_of, longer_than, wall_hours

    largest = largest_of(kind for plan in plans for kind in plan.kinds)
    remark(f"{study} → {store}: tasks, core time, memory of a task")
    rows = [
        [
            stage,
            *(
                f"{plan.tasks.get(stage, 0):,}  {_hours(plan.hours.get(stage, 0.0))}".removeprefix("0  ")
                for plan in plans
            ),
            size_text(largest[stage].memory) + " *" * largest[stage].whole_rows if stage in largest else "",
        ]
        for stage in dict.fromkeys(stage for plan in plans for stage in (*plan.tasks, *plan.hours))
    ]
    out.print(Fitted(["stage", *(plan.system for plan in plans), "memory"], rows))
    if any(kind.whole_rows for kind in largest.values()):
        remark("* reads all frames of a temperature and replica at once: memory grows with the length of the run")
    for plan in plans:
        remark(
            f"{plan.system}: {plan.particles:,} particles, {plan.frames:,} frames, {plan.particle_steps:.3g} "
            f"particle-steps, {size_text(plan.nbytes)} uncompressed in {plan.files:,} files"
        )
        for note in plan.notes:
            remark(f"  {note}")
    steps, hours = sum(plan.particle_steps for plan in plans), sum(sum(plan.hours.values()) for plan in plans)
    remark(
        f"total: {sum(sum(plan.tasks.values()) for plan in plans):,} tasks, {size_text(sum(plan.nbytes for plan in plans))}, "
        f"{steps:.3g} particle-steps, about {hours:,.2g} core hours"
    )
    if workers is None:
        return
    jobs = f"{workers.jobs:,} jobs × {workers.number // workers.jobs} = " if workers.jobs else ""
    remark(
        f"workers: {jobs}{workers.number:,}, {size_text(workers.memory)} each; the largest task needs "
        f"{size_text(max(kind.memory for kind in largest.values()))}"
    )
    unknown = ", plus what is not estimated" if any(plan.notes for plan in plans) else ""
    chain = max(plan.chain for plan in plans)
    least = f", at least {_hours(chain)} for the simulations of one replica from hot to cold" if chain else ""
    for warning in longer_than(plans, workers.lifetime):
        remark(f"warning: {warning}")
    wall = wall_hours(plans, workers.number)
    remark(f"wall time: about {_hours(wall)}{least}{unknown}")
    threads, shortest = best_threads(plans, workers)
    if shortest < WORTH_SAYING * wall:
        remark(f"with `threads: {threads}` under source.simulate: about {_hours(shortest)}")


def _hours(hours: float) -> str:
    return (
        f"{hours:,.0f} h"
        if hours >= 10
        else f"{hours:.2g} h"
        if hours >= 0.01
        else f"{3600 * hours:.2g} s"
        if hours
        else "-"
    )


def print_status(store: Path, states: Sequence[StageStatus]) -> None:
    """Print the progress of each stage and system, why results are stale, and notes."""
    from daskglass.cli.store_info import files_below, size_text

    rows = [
        [
            state.system, state.stage, f"{state.done:,}", f"{state.stale:,}" * bool(state.stale),
            f"{state.missing:,}" * bool(state.missing), f"{state.seconds:,.1f}",
        ]
        for state in states
    ]  # fmt: skip
    out.print(Fitted(["system", "stage", "done", "stale", "missing", "core seconds"], rows, range(2, 6)))
    if not any(state.done or state.stale or state.failures for state in states):
        remark(f"not begun: no results of a store {store.absolute()}; `store` is relative to the working folder")
        return
    left = [state for state in states if state.stale or state.missing]
    known = sum(s.seconds / s.done * (s.stale + s.missing) for s in left if s.done and s.seconds)
    size = size_text(files_below(store)[1])
    remark(f"{store}: {size} on disk; " + (f"about {known:.0f} core seconds left" if left else "complete"))
    printed: set[str] = set()
    for state in states:
        for reason in state.reasons:
            remark(f"stale: {state.system} {state.stage}: {reason}")
        # later stages fail for the same reason
        for cause in state.failures:
            if cause not in printed:
                remark(f"failed: {state.system} {state.stage} and the stages that need it: {cause}")
            printed.add(cause)
        for note in state.notes:
            remark(f"note: {note}")


def print_rows(found: xr.Dataset) -> None:
    """Print a table; of a long one, the first rows and the number of all."""
    import pandas as pd

    from daskglass.store.export import number_of_rows, rows

    number = number_of_rows(found)
    most = number if number <= ALL_ROWS else FIRST_ROWS
    pieces: list[pd.DataFrame] = []
    for piece in rows(found, most):
        pieces.append(piece)
        if sum(map(len, pieces)) >= most:
            break
    frame = pd.concat(pieces).head(most)
    units = [found[name].attrs.get("units", "1") if name in found.variables else "1" for name in frame]
    head = [f"{name}" + f" ({unit})" * (unit != "1") for name, unit in zip(frame, units, strict=True)]
    table = [
        [f"{value:.6g}" if isinstance(value, float) else str(value) for value in row]
        for row in frame.itertuples(index=False)
    ]
    numbers = [k for k, kind in enumerate(frame.dtypes) if kind.kind in "biuf"]
    out.print(Fitted(head, table, numbers))
    if most < number:
        remark(f"first {most} of {number:,} rows; write all with --out FILE, or average with --mean DIM")
