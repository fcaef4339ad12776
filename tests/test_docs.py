"""The documentation names what exists."""

import re
from pathlib import Path

import pytest

from daskglass.stages import registry
from daskglass.stages.declare import Blocks, Reduce, Rows, Step, Temperatures

ROOT = Path(__file__).parents[1]
TESTS = {
    name
    for file in (ROOT / "tests").rglob("*.py")
    for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("page", ["docs/how_it_is_built.md", "docs/clusters.md"])
def test_every_test_that_the_tables_of_failures_name_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)(…?)`", text)
    assert len(named) > 20
    for start, cut in named:
        assert start in TESTS or (cut and any(name.startswith(start) for name in TESTS)), start
    for file in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / file).exists(), file


def code(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)


def place_of(step: Step) -> str:
    if isinstance(step.over, Blocks):
        return f"blocks, {step.over.of}"
    if isinstance(step.over, Rows):
        return f"rows, {step.over.of}"
    if isinstance(step.over, Temperatures):
        return f"temperatures, {step.over.of}"
    return {
        "Frames": "blocks, all",
        "Configurations": "blocks, ensembles",
        "FromConfigurations": "trajectories, simulated",
        "Handovers": "rows, simulated",
        "Simulations": "rows, simulated",
    }.get(type(step.over).__name__, "system")


def row_of(stage: str, step: Step | Reduce) -> str:
    count = step.count if isinstance(step, Reduce) else step
    function, place = code(count.function.__name__), place_of(count)
    if isinstance(step, Reduce):
        into = "temperature" if isinstance(step.into, Temperatures) else "row"
        function, place = f"{function}, {code(step.combine.__name__)}", f"{place}, summed for each {into}"
    reads = code(*count.reads, *(f"{table}/" for table in count.tables))
    writes = code(f"{count.table}/") if count.table else code(*count.writes)
    settings = code(*(key for key in count.settings.values() if key != "positions"))
    return f"| {stage} | {function} | {place} | {reads} | {writes} | {settings} |"


def test_the_table_of_steps_is_what_the_stages_declare():
    text = (ROOT / "docs/how_it_is_built.md").read_text(encoding="utf-8")
    rows = [row_of(stage.name, step) for stage in registry.STAGES for step in stage.steps]

    assert " → ".join(registry.names()) in text
    assert "\n".join(rows) in text
