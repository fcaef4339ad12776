"""The page Study, and Dask's own, as a browser shows them while a study runs."""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import Client, SpecCluster

import daskglass as dg
from daskglass.cli.live_results import rearrangement, relaxation
from daskglass.cli.study_page import add_study_page
from daskglass.cluster.servers import PrivateScheduler, PrivateWorker
from daskglass.pipeline import dispatch as work
from daskglass.pipeline import run as pipeline
from daskglass.store.lock import locked
from daskglass.study.load import load_study
from daskglass.study.paths import ledger_path
from tests.browser import TEXT, errors_of, wait_for, wait_for_text
from tests.pipeline.test_progress import failed, plan, write
from tests.studies import FILES, on

pytestmark = pytest.mark.xdist_group("tiny")

COLUMNS = """
const columns = {};
for (const root of (window.Bokeh?.documents[0]?.roots() ?? []))
  for (const model of root.references())
    if (model.type === 'ColumnDataSource')
      for (const [name, values] of model.data instanceof Map ? model.data : Object.entries(model.data))
        columns[name] = [...(columns[name] ?? []), ...values];
return columns;
"""


@contextmanager
def dashboard(store):
    """Cluster whose dashboard has the page of a store: its client, and the address of the dashboard."""
    inproc = {"protocol": "inproc://"}
    scheduler = {"cls": PrivateScheduler, "options": inproc | {"dashboard_address": "127.0.0.1:0"}}
    worker = {"cls": PrivateWorker, "options": inproc | {"nthreads": 1, "dashboard": False}}
    with SpecCluster(scheduler=scheduler, workers={0: worker}) as cluster, Client(cluster) as client:
        cluster.sync(add_study_page, cluster.scheduler, store)
        yield client, cluster.scheduler.dashboard.removesuffix("/status")


def run(client, tick=lambda state: None):
    Path("study.yaml").write_text(FILES)
    return pipeline.run(load_study(Path("study.yaml")), on(client, tick=tick), draw=lambda plans, tasks: [])


def test_a_study_is_followed_from_its_plan_to_its_barriers(browser, files, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setattr(work, "TICK", 0.0)
    store, seen = Path("files.zarr"), []
    with dashboard(store) as (client, address), locked(store) as tell:
        browser.get(f"{address}/study")
        wait_for_text(browser, "planning, or waiting", "P_R by softness: waiting for the first ensemble")

        def tick(state):
            tell({"dashboard": address, **state})
            if not seen:
                # nothing goes on before this returns
                seen.append(wait_for_text(browser, "running for", "0 of 54 tasks done, 1 worker", "convert 0 of 8"))

        assert not run(client, tick).failures
        tell({"dashboard": address, "workers": 1, "running": {}})
        shown = wait_for_text(browser, "54 of 54 tasks done", "barriers", "lines: fitted barriers")
        for stage, total in (("convert", 8), ("hops", 10), ("softness", 8), ("entropy", 4), ("ensemble", 5)):
            assert f"{stage} {total} of {total}" in shown
        columns = wait_for(lambda: browser.execute_script(COLUMNS), lambda found: found.get("events"))
        ensemble = dg.open_store(store)["ka_0.0/ensemble"].to_dataset().load()
        assert not errors_of(browser)
    happened = ensemble["events"].sel(variable="softness").transpose("temperature", "stratum")
    assert sum(columns["events"]) == int(happened.sum())
    np.testing.assert_allclose(
        np.mean([tau for tau, T in zip(columns["tau"], columns["T"], strict=False) if T == 0.8]),
        float(ensemble["relaxation_time"].sel(temperature=0.8)),
    )


def test_a_failed_task_is_shown_with_its_cause(browser, files, tiny, monkeypatch):
    shutil.copytree(tiny / "tiny.trajectories", files / "mine")
    monkeypatch.setenv("TINY", str(files / "mine"))
    monkeypatch.chdir(files)
    damaged = files / "mine" / "ka_0.0" / "r1" / "T1" / "production.gsd"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    store = Path("files.zarr")
    with dashboard(store) as (client, address), locked(store) as tell:
        browser.get(f"{address}/study")
        outcome = run(client, tick=lambda state: tell({"dashboard": address, **state}))
        cause = next(iter(outcome.failures.values()))
        shown = wait_for_text(browser, f"{len(outcome.failures)} failed", "Failures and warnings", str(damaged))
        assert cause in shown
        assert not errors_of(browser)


def test_names_from_outside_are_shown_as_text(browser, tmp_path):
    store = tmp_path / "two.zarr"
    name = "<img src=x onerror=document.title='hit'>"
    write(store, plan(totals={name: {"train": 1}}), failed(f"train-{name}", "<script>document.title='hit'</script>"))
    with dashboard(store) as (_, address):
        browser.get(f"{address}/study")
        wait_for_text(browser, name, "<script>document.title='hit'</script>")
        assert browser.title == "Study"


def test_the_page_is_in_the_bar_of_dask_s_own_pages(browser, tmp_path):
    with dashboard(tmp_path / "two.zarr") as (_, address):
        browser.get(f"{address}/status")
        browser.find_element("link text", "Study").click()
        wait_for(lambda: browser.current_url, lambda url: url == f"{address}/study")
        assert "Workers" in browser.execute_script(TEXT)


def test_dask_s_progress_page_names_the_stages(browser, files, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setattr(work, "TICK", 0.0)
    shown = set()
    with dashboard(Path("files.zarr")) as (client, address):
        browser.get(f"{address}/individual-progress")

        def tick(state):
            held = {str(key).partition("-")[0] for key in client.futures}
            names = wait_for(lambda: set(browser.execute_script(COLUMNS).get("name", [])), lambda names: held <= names)
            shown.update(names)

        assert not run(client, tick).failures
    assert {"convert", "hops", "structure", "train", "softness", "entropy", "ensemble", "barriers"} <= shown


def test_files_that_hang_do_not_hold_up_the_scheduler(browser, tmp_path):
    store = tmp_path / "two.zarr"
    # whoever opens it to read waits for someone to write
    os.mkfifo(ledger_path(store))

    def is_read():
        codes = [frame.f_code for frame in sys._current_frames().values()]
        return any(code.co_filename.endswith("pathlib.py") and code.co_name == "open" for code in codes)

    with dashboard(store) as (client, address):
        browser.get(f"{address}/study")
        wait_for(is_read, bool)
        assert client.submit(sum, [1, 2]).result() == 3
        assert is_read()
        ledger_path(store).open("wb").close()


# --- what can be drawn already ---


def test_relaxation_times_are_those_of_the_rows_that_are_there(finished):
    whole = relaxation(Path("files.zarr"), "ka_0.0")
    expected = dg.relaxation_time(dg.open_store("files.zarr")["ka_0.0/production"].to_dataset()["scattering"].load())
    for T, replica, tau in zip(whole.temperature, whole.replica, whole.time, strict=True):
        assert tau == float(expected.sel(temperature=T, replica=replica))
    scattering = zarr.open_array("files.zarr", path="ka_0.0/production/scattering", mode="r+")
    scattering[0, 1] = np.nan
    scattering[1, 0] = 0.9
    part = relaxation(Path("files.zarr"), "ka_0.0")
    assert (whole.time.size, whole.slow) == (4, 0)
    assert (part.time.size, part.slow) == (2, 1)


def test_strata_before_barriers_are_those_of_all_temperatures(finished):
    P = rearrangement(Path("files.zarr"), "ka_0.0", fitted=False)
    production = dg.open_store("files.zarr")["ka_0.0/production"].to_dataset().load()
    edges = dg.strata(production["softness"], 3)
    expected = dg.rearrangement_probability(production["hop"], production["softness"], edges, threshold=0.1)
    np.testing.assert_array_equal(P.events, expected["events"].transpose("temperature", "stratum"))
    np.testing.assert_allclose(P.probability, expected["probability"].transpose("temperature", "stratum"))
    np.testing.assert_allclose(P.middle, expected["stratum"])
    assert P.energy is None


def test_strata_with_barriers_are_those_of_the_fits(finished):
    P = rearrangement(Path("files.zarr"), "ka_0.0", fitted=True)
    ensemble = dg.open_store("files.zarr")["ka_0.0/ensemble"].to_dataset().sel(variable="softness").load()
    np.testing.assert_array_equal(P.events, ensemble["events"].transpose("temperature", "stratum"))
    np.testing.assert_array_equal(P.energy, ensemble["activation_energy"])
