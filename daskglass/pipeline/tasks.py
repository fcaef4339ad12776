"""The tasks of a system: one per place of each step, sums combined as trees, each task after those whose data it reads."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from daskglass.stages import registry, structural
from daskglass.stages.declare import (
    INDICATED,
    PARTICLES,
    POSITIONS,
    STRUCTURAL,
    TRAINED,
    Item,
    Place,
    Plan,
    Reduce,
    Rows,
    Step,
)
from daskglass.store.blocks import Block
from daskglass.store.wholeness import Region
from daskglass.study.settings import fingerprint

FAN_IN = 16  # partial results combined in one task


@dataclass(frozen=True)
class Task:
    """One call on a worker.

    Attributes
    ----------
    key : unique name, of the stage and what it is done to; also the task's name in the ledger
    function, arguments, settings : what is called, with arguments and with settings by keyword
    needs : tasks whose results are handed over behind the arguments
    after : tasks that must be complete before, whose results are not needed
    inputs : hashes of the settings, files and simulations that the result depends on beside the tasks before, by name;
        None for a partial result, which lives in memory until its sum is written
    owns : what the task writes, and what else is out of date when it is to run: taken back before any task runs
    problem : why the task cannot be done; empty where it can be tried
    threads : that it uses
    """

    stage: str
    system: str
    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    inputs: Mapping[str, str] | None = None
    owns: tuple[Region, ...] = ()
    problem: str = ""
    threads: int = 1


def tasks_of(plan: Plan, only: Sequence[str] = ()) -> list[Task]:
    """Tasks of all stages of a system, or of some alone, every one after those it waits for."""
    tasks: list[Task] = []
    before = _Before()
    for stage in registry.STAGES:
        if only and stage.name not in only:
            continue
        for step in stage.steps:
            if not step.is_in(plan):
                continue
            if isinstance(step, Reduce):
                tasks += _tasks_of_sum(plan, stage.name, step, before)
            else:
                tasks += _tasks_of_step(plan, stage.name, step, step.name, before)
    return tasks


def _tasks_of_step(plan: Plan, stage: str, step: Step, name: str, before: _Before) -> Iterator[Task]:
    settings = {keyword: plan.settings[key] for keyword, key in step.settings.items()}
    own = {key: fingerprint(plan.settings[key]) for key in step.settings.values()}
    if step.revision > 1:
        own["definition"] = str(step.revision)
    taken = [before.results[stage, each] for each in step.takes]
    writers = before.writers(plan, step)
    made = _Made()
    for item in step.over.items(plan):
        key = f"{stage}-{item.place.key}" + f"/{name}" * bool(name)
        needs = tuple(need for results in taken for need in results.at(item.place))
        # a partial result is as good as the settings behind it
        inputs = {k: v for need in needs for k, v in before.hidden[need].items()} | own | dict(item.inputs)
        before.hidden[key] = {} if step.is_written else inputs
        made.keys[item.place] = key
        yield Task(
            stage=stage,
            system=plan.system,
            key=key,
            function=step.function,
            arguments=item.arguments,
            settings={**settings, **step.constants},
            needs=needs,
            after=tuple(dict.fromkeys(_after(plan, step, item, writers, made))),
            inputs=inputs if step.is_written else None,
            owns=_owned(plan, step, item) if step.is_written else (),
            problem=item.problem,
            threads=step.threads(plan),
        )
    before.add(stage, step, name, made)


def _tasks_of_sum(plan: Plan, stage: str, reduce: Reduce, before: _Before) -> Iterator[Task]:
    """Count on every block, then combine in order, as trees."""
    yield from _tasks_of_step(plan, stage, reduce.count, reduce.name, before)
    counted, combined = before.results[stage, reduce.name], _Made()
    for item in reduce.into.items(plan):
        keys, level = counted.at(item.place), 0
        while len(keys) > 1 or level == 0:
            level += 1
            groups = [keys[k : k + FAN_IN] for k in range(0, len(keys), FAN_IN)]
            what = f"{stage}-{item.place.key}/{reduce.name}/{reduce.combine.__name__}/{level}"
            keys = [f"{what}.{k}" for k in range(len(groups))]
            for key, group in zip(keys, groups, strict=True):
                before.hidden[key] = before.hidden[group[0]]
                yield Task(stage, plan.system, key, reduce.combine, (), needs=tuple(group))
        combined.keys[item.place] = keys[0]
    before.results[stage, reduce.name] = combined


def _after(plan: Plan, step: Step, item: Item, writers: Iterable[_Made], made: _Made) -> Iterator[str]:
    """Tasks that a task waits for: they write what it reads, or its step goes through its places in order."""
    for writer in writers:
        for place in step.reach(plan, item.place):
            yield from writer.at(place)
    for place in item.follows:
        yield made.keys[place]


def _owned(plan: Plan, step: Step, item: Item) -> tuple[Region, ...]:
    place = item.place
    if step.table:
        return (Region(f"{plan.system}/{step.table}", step.writes),)
    if item.keeps or not isinstance(place, Block):
        return ()
    there = {variable.name for variable in plan.layouts[place.run].variables}
    names = tuple(name for name in step.writes if name in there)
    owned = [place]
    if isinstance(step.over, Rows) and step.over.of == TRAINED:
        # there are some at one temperature only: those at others are out of date
        rows = plan.rows(PARTICLES)
        same = [row for row in rows if (row.run, row.replica) == (place.run, place.replica)]
        owned += [row for row in same if row.temperature != place.temperature]
    return tuple(Region(block.group, names, block) for block in owned)


class _Before:
    """What the steps so far leave for later ones.

    Attributes
    ----------
    results : tasks whose results can be taken, by stage and name
    hidden : inputs of partial results, by key
    """

    def __init__(self) -> None:
        self.results: dict[tuple[str, str], _Made] = {}
        self.hidden: dict[str, dict[str, str]] = {}
        self._variables: dict[str, list[_Made]] = {}
        self._tables: dict[str, _Made] = {}

    def add(self, stage: str, step: Step, name: str, made: _Made) -> None:
        """Let later steps find the tasks of a step."""
        self.results[stage, name] = made
        if step.table and not step.writes:
            self._tables[step.table] = made
        elif not step.table:
            # steps on other runs write variables of the same name
            for variable in step.writes:
                self._variables.setdefault(variable, []).append(made)

    def writers(self, plan: Plan, step: Step) -> list[_Made]:
        """Tasks of the steps that write what a step reads."""
        roles = {
            POSITIONS: (plan.settings[POSITIONS],),
            STRUCTURAL: plan.settings[STRUCTURAL],
            INDICATED: structural.scored(),
        }
        names = [name for read in step.reads for name in roles.get(read, (read,))]
        found = [self._tables[table] for table in step.tables if table in self._tables]
        found += [made for name in names for made in self._variables.get(name, ())]
        return list({id(made): made for made in found}.values())


class _Made:
    """Tasks of a step by their places, all of one kind; found by what overlaps with another place."""

    def __init__(self) -> None:
        self.keys: dict[Block | Place, str] = {}
        self._index: dict[tuple[str, ...], dict[tuple[Any, ...], list[tuple[Any, str]]]] = {}

    def at(self, place: Block | Place) -> list[str]:
        """Tasks on what overlaps with a place; of frames, those in common. No task is added after this was called."""
        if not self.keys:
            return []
        mine = next(iter(self.keys))
        common = tuple(field for field in _fields(mine) if field in _fields(place))
        if common not in self._index:
            index = self._index.setdefault(common, {})
            for each, key in self.keys.items():
                index.setdefault(_values(each, common), []).append((each, key))
        found = self._index[common].get(_values(place, common), [])
        if isinstance(place, Block) and isinstance(mine, Block):
            # blocks of a row come in order
            first = bisect_right(found, place.start, key=lambda pair: pair[0].stop)
            found = found[first : bisect_left(found, place.stop, key=lambda pair: pair[0].start)]
        return [key for _, key in found]


def _fields(place: Block | Place) -> tuple[str, ...]:
    return tuple(field for field in ("run", "temperature", "replica") if getattr(place, field, None) is not None)


def _values(place: Block | Place, fields: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(place, field) for field in fields)
