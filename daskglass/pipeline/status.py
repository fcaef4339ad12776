"""How far a study is: what is done, stale or missing, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daskglass.pipeline.plan import plan_study
from daskglass.pipeline.run import Draw, pending
from daskglass.pipeline.tasks import Task, tasks_of
from daskglass.stages.declare import Plan
from daskglass.store.ledger import Ledger, core_seconds, notes
from daskglass.study.settings import Study


@dataclass(frozen=True)
class StageStatus:
    """How far one stage of one system is: numbers of tasks, why some are stale or failed, and what was reported on the way.

    Attributes
    ----------
    seconds : of one core, of partial results too
    """

    system: str
    stage: str
    done: int
    stale: int
    missing: int
    seconds: float
    reasons: tuple[str, ...]
    failures: tuple[str, ...]
    notes: tuple[str, ...]


def status(study: Study, draw: Draw = lambda plans, tasks: []) -> list[StageStatus]:
    """How far every stage of every system is, from the ledger; `draw` makes the tasks that draw figures, as in `run`."""
    ledger = Ledger(Path(study.store))
    plans = plan_study(study, ledger)
    tasks = [task for plan in plans for task in tasks_of(plan)]
    tasks += draw(plans, tasks)
    left = {task.key: task for task in pending(tasks, ledger, plans)}
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        if task.inputs is not None:
            groups.setdefault((task.system, task.stage), []).append(task)
    return [_of_stage(system, stage, mine, ledger, left, plans) for (system, stage), mine in groups.items()]


def _of_stage(
    system: str, stage: str, mine: list[Task], ledger: Ledger, left: Mapping[str, Task], plans: Sequence[Plan]
) -> StageStatus:
    marks = {task.key: ledger.marks[task.key] for task in mine if task.key in ledger.marks}
    stale = [task for task in mine if task.key in marks and task.key in left]
    done = sum(task.key not in left for task in mine)
    return StageStatus(
        system=system,
        stage=stage,
        done=done,
        stale=len(stale),
        missing=len(mine) - done - len(stale),
        seconds=sum(map(core_seconds, marks.values())),
        reasons=tuple(dict.fromkeys(_reason(task, ledger, left, plans) for task in stale)),
        failures=tuple(
            dict.fromkeys(ledger.failures[task.key]["failed"] for task in mine if task.key in ledger.failures)
        ),
        notes=tuple(f"{key}: {text}" for key, mark in marks.items() for text in notes(mark)),
    )


def _reason(task: Task, ledger: Ledger, left: Mapping[str, Task], plans: Sequence[Plan]) -> str:
    """Why a task that was complete once has to be done again."""
    if changed := ledger.changed(task.key, task.inputs or {}, plans[0].earlier):
        return f"{', '.join(changed)} changed"
    todo = {key: left[key].stage for key in (*task.needs, *task.after) if key in left}
    while any(left[key].inputs is None for key in todo):
        # partial results are not remembered: what they are made of may have changed
        todo = {
            deeper: left[deeper].stage
            for key in todo
            for deeper in ((*left[key].needs, *left[key].after) if left[key].inputs is None else (key,))
            if deeper in left
        }
    return (
        f"{', '.join(dict.fromkeys(todo.values()))} before it is to be done" if todo else "what it is made from changed"
    )
