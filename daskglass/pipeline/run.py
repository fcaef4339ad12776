"""Running a study: which tasks are left, having them done, and remembering what is complete."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from daskglass.errors import StoreError
from daskglass.pipeline import plan as planning
from daskglass.pipeline.check import ledger_of, take_damaged_back
from daskglass.pipeline.dispatch import Executor, Outcome, Start, work
from daskglass.pipeline.estimate import check_fits, kinds_of, seconds_left
from daskglass.pipeline.plan import attributes, plan_study
from daskglass.pipeline.tasks import Task, tasks_of
from daskglass.sources.surveys import File, Look, Over, remember, seconds_to_survey
from daskglass.sources.timesteps import measure
from daskglass.stages import registry
from daskglass.stages.declare import Plan
from daskglass.store import metadata, wholeness
from daskglass.store.aside import folder_aside
from daskglass.store.ledger import Ledger
from daskglass.store.template import lay_out
from daskglass.study.settings import Study

ReportProgress = Callable[[str, int, int], None]
Draw = Callable[[Sequence[Plan], Sequence[Task]], list[Task]]
_Counts = dict[str, dict[str, int]]  # tasks by system and stage


def study_tasks(study: Study) -> list[Task]:
    """All tasks of a study, every one after those it waits for."""
    return [task for plan in plan_study(study) for task in tasks_of(plan)]


def run(
    study: Study,
    start: Start,
    draw: Draw,
    stage: str | None = None,
    again: str | None = None,
    progress: ReportProgress = lambda stage, done, total: None,
) -> Outcome:
    """Do what is left of a study, in a store whose lock the caller holds until the workers are gone.

    Nothing is started where nothing is left.

    Parameters
    ----------
    study : the study
    start : starts who works, given the core seconds that are left as far as they are known
    draw : makes the tasks that draw figures, of the plans of all systems and the tasks of all stages
    stage : only what is left of this stage
    again : this stage and all later ones, again
    progress : called with a stage, the number of its tasks that are done, and their total

    Raises
    ------
    StudyError
        If a task that is left needs more memory than a worker has.
    StoreError
        If the store lies there without its ledger, or `stage` needs earlier stages that are not complete.
    """
    path = Path(study.store)
    ledger = ledger_of(path)
    measure(study, lambda seconds: start(seconds).map)
    plans = plan_study(study, ledger, over_workers(start, ledger))
    tasks = [task for plan in plans for task in tasks_of(plan)]
    tasks += draw(plans, tasks)
    ledger.create()
    damaged = take_damaged_back(path, ledger)
    if again is not None:
        stages = registry.names()
        later = stages[stages.index(again) :]
        ledger.begin(task.key for task in tasks if task.stage in later)
    todo = pending(tasks, ledger, plans)
    counts = _counted(tasks, todo)
    if stage is not None:
        todo = _only(stage, todo, ledger)
    executor = _started(start, plans, todo)
    settled = executor is None and _is_settled(path, plans, study)
    if not settled:
        _lay_out(path, plans, study)
    outcome = _work(executor, study.study, plans, counts, todo, ledger, progress)
    outcome.warnings |= damaged
    if not settled:
        metadata.consolidate(path)
    return outcome


def plan_files(study: Study, start: Start) -> list[Plan]:
    """Plan what is to be converted, once new files have been looked into; the lock is the caller's to hold.

    Raises
    ------
    StoreError
        If the store lies there without its ledger.
    StudyError, TrajectoryError
        If it is not clear where files belong, none is found, or two belong in one place.
    """
    ledger = ledger_of(Path(study.store))
    return planning.plan_files(study, ledger, over_workers(start, ledger))


def over_workers(start: Start, ledger: Ledger) -> Over:
    """Return a `map` that lets workers look into files, and the ledger remember what each holds as soon as it is known."""

    def over(look: Look, *lists: Sequence[Any]) -> list[File]:
        found: dict[int, File] = {}
        for number, file in start(seconds_to_survey(lists[0])).map(look, lists):
            found[number] = file
            remember(ledger, file)
        return [found[number] for number in sorted(found)]

    return over


def convert(
    plans: list[Plan],
    start: Start,
    progress: ReportProgress = lambda stage, done, total: None,
) -> Outcome:
    """Bring the files of a planned study into its store, and do nothing else; its lock is the caller's to hold.

    Raises
    ------
    StoreError, TrajectoryError
        If the store lies there without its ledger, or files are missing or do not agree.
    """
    path = plans[0].path
    ledger = ledger_of(path)
    tasks = [task for plan in plans for task in tasks_of(plan, ["convert"])]
    ledger.create()
    damaged = take_damaged_back(path, ledger)
    todo = pending(tasks, ledger, plans)
    executor = _started(start, plans, todo)
    _lay_out(path, plans)
    outcome = _work(executor, "convert", plans, _counted(tasks, todo), todo, ledger, progress)
    outcome.warnings |= damaged
    metadata.consolidate(path)
    return outcome


def _started(start: Start, plans: Sequence[Plan], todo: list[Task]) -> Executor | None:
    """Start who does what is left, once it is known to fit into their memory; nobody if nothing is."""
    if not todo:
        return None
    executor = start(seconds_left(plans, todo))
    if executor.memory is not None:
        left = {plan.system: list({task.stage for task in todo if task.system == plan.system}) for plan in plans}
        check_fits(
            (kind for plan in plans if left[plan.system] for kind in kinds_of(plan, left[plan.system])), executor.memory
        )
    return executor


def _lay_out(path: Path, plans: Iterable[Plan], study: Study | None = None) -> None:
    """Write the template of every run that is not there yet."""
    if (path / "zarr.json").exists():
        metadata.drop_consolidated(path)
    for plan in plans:
        for run, layout in plan.layouts.items():
            lay_out(path, layout, attributes(plan, study), plan.source.attributes(run))


def _is_settled(path: Path, plans: Iterable[Plan], study: Study) -> bool:
    """Whether a store of which nothing is left to do says of itself what the study says."""
    described: dict[Path, dict[str, Any]] = {}
    for plan in plans:
        described[path / plan.system] = attrs = attributes(plan, study)
        described |= {path / plan.system / run: attrs | plan.source.attributes(run) for run in plan.layouts}
    return metadata.is_consolidated(path) and all(
        metadata.attributes_of(group) == it for group, it in described.items()
    )


def _take_back(path: Path, todo: list[Task], ledger: Ledger) -> None:
    """Take back the marks of what is to be done, and what it wrote before, so that tasks only ever add."""
    refused = _refused(todo)  # what those wrote before stays, and its marks
    mine = [task for task in todo if task.key not in refused]
    ledger.begin(task.key for task in mine)
    wholeness.erase(path, (region for task in mine for region in task.owns))


def pending(tasks: list[Task], ledger: Ledger, plans: Sequence[Plan] = ()) -> list[Task]:
    """Tasks that are left, and the partial results they need.

    A task is complete where it was completed from the same inputs, after all tasks that it waits for, which are complete.
    """
    earlier = plans[0].earlier if plans else {}
    # marks are in the order in which tasks were completed
    place = {key: number for number, key in enumerate(ledger.marks)}
    done: dict[str, float] = {}
    for task in tasks:
        before = max((done[key] for key in (*task.needs, *task.after)), default=-1)
        if task.inputs is None:
            done[task.key] = before
        else:
            mine = place.get(task.key, math.inf)
            complete = before < mine < math.inf and ledger.is_done(task.key, task.inputs, earlier)
            done[task.key] = mine if complete else math.inf
    wanted: set[str] = set()
    for task in reversed(tasks):
        if task.key in wanted or (task.inputs is not None and done[task.key] == math.inf):
            wanted.add(task.key)
            wanted.update(task.needs)
    return [task for task in tasks if task.key in wanted]


def _only(stage: str, todo: list[Task], ledger: Ledger) -> list[Task]:
    """Tasks of one stage, all of whose inputs must be complete."""
    mine = [task for task in todo if task.stage == stage]
    keys = {task.key for task in mine}
    before = {task.key for task in todo} - keys
    for task in mine:
        if missing := before & {*task.needs, *task.after}:
            raise StoreError(
                f"stage {stage} needs {min(missing)}, which is not complete", remedy="run without --stage first"
            )
    # what follows from them is done no more, also when they are
    refused = _refused(todo)
    ledger.begin(task.key for task in todo if task.key not in refused)
    return mine


def _work(
    executor: Executor | None,
    study: str,
    plans: list[Plan],
    counts: tuple[_Counts, _Counts],
    todo: list[Task],
    ledger: Ledger,
    progress: ReportProgress,
) -> Outcome:
    totals, done = counts
    # who watches the ledger learns from this how much there is to do
    particles = {plan.system: plan.source.particles for plan in plans}
    ledger.complete("plan", {}, {"study": study, "particles": particles, "totals": totals, "done": done})
    if executor is None:
        return Outcome()
    of_stage = {stage: sum(counts.get(stage, 0) for counts in totals.values()) for stage in registry.names()}
    done_of = {stage: sum(counts.get(stage, 0) for counts in done.values()) for stage in registry.names()}
    for stage, total in of_stage.items():
        if total:
            progress(stage, done_of[stage], total)

    def finished(task: Task) -> None:
        done_of[task.stage] += 1
        progress(task.stage, done_of[task.stage], of_stage[task.stage])

    with folder_aside(ledger.store) as aside:
        _take_back(ledger.store, todo, ledger)
        return work(executor, todo, ledger, aside, finished)


def _counted(tasks: list[Task], todo: list[Task]) -> tuple[_Counts, _Counts]:
    """Numbers of all tasks, and of those that are complete."""
    left = {task.key for task in todo}
    return _counts(tasks), _counts(task for task in tasks if task.key not in left)


def _counts(tasks: Iterable[Task]) -> _Counts:
    """Numbers of the tasks that write, by system and stage."""
    counts: dict[str, dict[str, int]] = {}
    for task in tasks:
        if task.inputs is not None:
            of_system = counts.setdefault(task.system, {})
            of_system[task.stage] = of_system.get(task.stage, 0) + 1
    return counts


def _refused(todo: list[Task]) -> dict[str, str]:
    """Causes of the tasks that cannot be done, or wait for one that cannot: what they wrote before stays, and its marks."""
    refused: dict[str, str] = {}
    for task in todo:
        causes = [refused[key] for key in (*task.needs, *task.after) if key in refused]
        if task.problem or causes:
            refused[task.key] = task.problem or causes[0]
    return refused
