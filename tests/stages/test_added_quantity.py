"""A quantity that is declared in one file and one line of each registry is everywhere a person looks for it."""

import numpy as np
import pytest
from rich.console import Console

import daskglass as dg
from daskglass import variables
from daskglass.cli.store_info import describe_store
from daskglass.cli.tables import print_costs, print_status
from daskglass.pipeline.estimate import OF_A_TASK, cost_of
from daskglass.pipeline.plan import plan_study
from daskglass.pipeline.status import status
from daskglass.pipeline.tasks import tasks_of
from daskglass.report.figures import drawn
from daskglass.report.page import page
from daskglass.report.results import read_results
from daskglass.stages import registry, structural
from daskglass.store.template import lay_out
from daskglass.study.load import load_study
from tests.stages import crowding
from tests.studies import FILES, run_here

NAME = "crowding"


@pytest.fixture
def added(monkeypatch):
    """The three lines."""
    monkeypatch.setitem(variables.VARIABLES, NAME, crowding.VARIABLE)
    registry.STAGES.insert(registry.names().index("ensemble"), crowding.STAGE)
    structural.STRUCTURAL_VARIABLES.append(crowding.STRUCTURAL)
    yield
    registry.STAGES.remove(crowding.STAGE)
    structural.STRUCTURAL_VARIABLES.remove(crowding.STRUCTURAL)


@pytest.fixture
def planned(added, files, monkeypatch):
    monkeypatch.chdir(files)
    (files / "study.yaml").write_text(FILES)
    (plan,) = plan_study(load_study(files / "study.yaml"))
    return plan


@pytest.mark.xdist_group("tiny")
def test_it_is_in_template_plan_and_dry_run(planned, capsys):
    layout = planned.layouts["production"]
    lay_out(planned.path, layout, {})
    blocks = [task for task in tasks_of(planned) if task.stage == "crowding"]
    cost = cost_of(planned)
    print_costs("files", "files.zarr", [cost])
    (kind,) = [kind for kind in cost.kinds if kind.stage == "crowding"]

    assert dg.open_store(planned.path)["ka_0.0/production"][NAME].dims[-1] == "particle"
    assert [task.arguments[1] for task in blocks] == layout.blocks()
    assert kind.number == len(blocks)
    assert kind.nbytes > 40 * 432**2
    assert cost.hours["crowding"] == pytest.approx((1e-4 * 432 * 21 * 4 + OF_A_TASK * len(blocks)) / 3600)
    assert "crowding" in capsys.readouterr().out


@pytest.mark.xdist_group("tiny")
def test_it_is_in_status_info_query_strata_and_correlations(added, files, monkeypatch, capsys):
    assert not run_here(files, monkeypatch).failures
    store = files / "files.zarr"
    state = {each.stage: each for each in status(load_study(files / "study.yaml"))}
    print_status(store, list(state.values()))
    console = Console(record=True, width=200)
    for group in describe_store(store):
        console.print(group)
    run = dg.query(store, variables=[NAME, "softness", "species", "position", "box"]).isel(system=0)
    ensemble = dg.open_store(store)["ka_0.0/ensemble"].to_dataset().load()

    results = read_results(dg.open_store(store))
    figure = drawn("others", results)

    assert "crowding" in page(results, [], {})
    assert len([ax for ax in figure.axes if ax.get_xlabel().startswith("$1/T$")]) == 3
    assert state["crowding"].done == len(run["temperature"]) * len(run["replica"]) * 2
    assert "crowding" in capsys.readouterr().out
    assert NAME in console.export_text()
    frame = run.isel(temperature=0, replica=0, time=3).load()
    expected = crowding.crowding(frame["position"].values, frame["box"].values)
    of_A = frame["species"].values == 0
    np.testing.assert_allclose(frame[NAME].values[of_A], expected[of_A], rtol=1e-5)
    assert NAME in ensemble["variable"]
    assert ensemble["samples"].sel(variable=NAME).sum() > 0
    assert np.isfinite(ensemble["probability"].sel(variable=NAME)).any()
    for k in range(2):
        row = run.isel(temperature=k)
        pearson = np.corrcoef(*(row[name].values[row["softness"].notnull().values] for name in ("softness", NAME)))
        assert float(ensemble["pearson_crowding"][k]) == pytest.approx(pearson[0, 1], rel=1e-5)
