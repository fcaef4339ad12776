"""Handing tasks to Dask: order, windows, failures, and tasks that kill the process that runs them."""

import os
import signal
import time
from contextlib import contextmanager

import pytest
from distributed import Client, LocalCluster

from daskglass.cluster.connect import Deaths
from daskglass.pipeline import dispatch as working
from daskglass.pipeline.tasks import Task
from daskglass.store.aside import folder_aside
from daskglass.store.ledger import Ledger, completed


def work(client, todo, ledger, **options):
    """Do tasks that write through a folder of their own."""
    with folder_aside(ledger.store) as aside:
        return working.work(client, todo, ledger, aside, **options)


def task(key, function=dict, *arguments, **options):
    return Task("hops", "ka_0.0", f"hops-ka_0.0/{key}", function, arguments, inputs={"data": "a"}, **options)


def partial(key, function, *arguments, **options):
    return Task("hops", "ka_0.0", f"hops-ka_0.0/{key}", function, arguments, **options)


def keys(*names):
    return tuple(f"hops-ka_0.0/{name}" for name in names)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def slow(seconds):
    time.sleep(seconds)
    return {}


def refuse():
    raise ValueError("no")


def write(path):
    """Leave a mark of when this was done."""
    path.write_text(str(time.time()))
    return {}


def total(*numbers):
    return {"total": sum(numbers)}


@contextmanager
def two_workers():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(Deaths())
        yield client


@pytest.fixture(scope="module")
def client():
    with two_workers() as client:
        yield client


@pytest.fixture
def mortal_client():
    """Client of workers of its own: Dask's nannies do not restart one that dies while they still start it."""
    with two_workers() as client:
        yield client


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "study.zarr")


def test_a_task_starts_when_all_it_waits_for_are_complete(client, ledger, tmp_path):
    files = [tmp_path / name for name in "abcd"]
    a, b, c, d = files
    todo = [
        task("a", write, a),
        task("b", write, b, after=keys("a")),
        task("c", write, c, after=keys("a")),
        task("d", write, d, after=keys("b", "c")),
    ]
    assert work(client, todo, ledger).done == 4
    times = [float(file.read_text()) for file in files]
    assert times[0] < min(times[1:3])
    assert max(times[1:3]) < times[3]


def test_partial_results_reach_those_that_need_them_and_no_ledger(client, ledger):
    parts = [partial(f"part{k}", int, k) for k in range(5)]
    sums = [task("sum", total, needs=tuple(part.key for part in parts)), task("more", total, needs=keys("part4"))]
    work(client, [*parts, *sums], ledger)
    assert ledger.marks["hops-ka_0.0/sum"]["total"] == 10
    assert ledger.marks["hops-ka_0.0/more"]["total"] == 4
    assert len(ledger.marks) == 2


def test_no_more_tasks_than_the_window_are_with_the_scheduler(client, ledger, monkeypatch):
    monkeypatch.setattr(working, "LEAST_WINDOW", 7)
    monkeypatch.setattr(working, "TICK", 0.0)
    seen = []
    todo = [task(str(k), slow, 0.005) for k in range(60)]

    def tick(state):
        seen.append(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))

    assert work(client, todo, ledger, tick=tick).done == 60
    # twice the 4 of each of the two threads: those that ended may not be forgotten yet
    assert 1 < max(seen) <= 16


def test_a_failure_stops_its_own_branch_only_and_is_remembered_with_its_cause(client, ledger):
    todo = [
        task("bad", refuse),
        task("after", after=keys("bad")),
        task("long after", after=keys("after")),
        task("good"),
        task("better", after=keys("good")),
    ]
    outcome = work(client, todo, ledger)
    assert list(outcome.failures) == list(keys("bad", "after", "long after"))
    assert set(outcome.failures.values()) == {"ValueError: no"}
    assert set(ledger.marks) == set(keys("good", "better"))
    assert set(Ledger(ledger.store).failures) == set(outcome.failures)


def test_the_failure_of_a_partial_result_is_that_of_what_it_was_for(client, ledger):
    outcome = work(client, [partial("part", refuse), task("sum", total, needs=keys("part"))], ledger)
    assert list(outcome.failures) == list(keys("sum"))


def test_a_failure_is_forgotten_when_its_task_succeeds(client, ledger):
    work(client, [task("a", refuse)], ledger)
    work(client, [task("a")], ledger)
    assert not Ledger(ledger.store).failures


def test_a_task_that_cannot_be_done_is_not_tried_and_keeps_its_mark(client, ledger):
    ledger.record([completed("hops-ka_0.0/a", {"data": "old"}, {"seconds": 0.0})])
    todo = [task("a", die, problem="file is damaged"), task("b", after=keys("a")), task("c")]
    outcome = work(client, todo, ledger)
    assert outcome.failures == dict.fromkeys(keys("a", "b"), "file is damaged")
    assert set(Ledger(ledger.store).marks) == set(keys("a", "c"))


def test_a_task_that_kills_its_workers_is_told_from_those_beside_it(mortal_client, ledger):
    todo = [task("killer", die), task("victim", after=keys("killer"))]
    todo += [task(f"innocent{k}", slow, 0.3) for k in range(12)]
    outcome = work(mortal_client, todo, ledger)
    assert list(outcome.failures) == list(keys("killer", "victim"))
    assert "hops-ka_0.0/killer: worker processes died when they ran it" in outcome.failures["hops-ka_0.0/killer"]
    assert outcome.done == 12


def test_what_runs_is_told_by_system_and_stage(client, ledger, monkeypatch):
    monkeypatch.setattr(working, "TICK", 0.1)
    told = []
    work(client, [task(str(k), slow, 0.3) for k in range(6)], ledger, tick=told.append)
    assert all(state["workers"] == 2 for state in told)
    assert 2 <= max(state["running"].get("ka_0.0", {}).get("hops", 0) for state in told) <= 6


def test_what_stops_a_tick_stops_the_work(client, ledger):
    def tick(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(client, [task("a", slow, 5.0)], ledger, tick=tick)
    assert not ledger.marks
