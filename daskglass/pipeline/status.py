"""How far a study is: what is done, stale or missing, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daskglass.pipeline.plan import plan_study
from daskglass.pipeline.run import pending
from daskglass.pipeline.tasks import Task, tasks_of
from daskglass.stages import registry
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


def status(study: Study) -> list[StageStatus]:
    """How far every stage of every system is, from the ledger."""
    ledger = Ledger(Path(study.store))
    found = []
    for plan in plan_study(study, ledger):
        tasks = tasks_of(plan)
        left = {task.key: task for task in pending(tasks, ledger, [plan])}
        for stage in registry.names():
            mine = [task for task in tasks if task.stage == stage and task.inputs is not None]
            if not mine:
                continue
            marks = [ledger.marks.get(task.key) for task in mine]
            stale = [task for task, mark in zip(mine, marks, strict=True) if mark is not None and task.key in left]
            done = sum(task.key not in left for task in mine)
            found.append(
                StageStatus(
                    system=plan.system,
                    stage=stage,
                    done=done,
                    stale=len(stale),
                    missing=len(mine) - done - len(stale),
                    seconds=sum(core_seconds(mark) for mark in marks if mark is not None),
                    reasons=tuple(dict.fromkeys(_reason(task, ledger, left, plan) for task in stale)),
                    failures=tuple(
                        dict.fromkeys(
                            ledger.failures[task.key]["failed"] for task in mine if task.key in ledger.failures
                        )
                    ),
                    notes=tuple(note for mark in marks if mark is not None for note in notes(mark)),
                )
            )
    return found


def _reason(task: Task, ledger: Ledger, left: Mapping[str, Task], plan: Plan) -> str:
    """Why a task that was complete once has to be done again."""
    if changed := ledger.changed(task.key, task.inputs or {}, plan.earlier):
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
