"""Handing tasks out, to Dask and to this process: order, windows, failures, and tasks that kill what runs them."""

import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager

import pytest
from distributed import Client, LocalCluster

from daskglass.cluster.connect import Deaths
from daskglass.pipeline import dispatch as working
from daskglass.pipeline import here, on_dask
from daskglass.pipeline.here import Here
from daskglass.pipeline.on_dask import OnDask
from daskglass.pipeline.tasks import Task
from daskglass.store.aside import folder_aside
from daskglass.store.ledger import Ledger, completed, core_seconds

HERE = "in this process"  # in place of a client


def work(client, todo, ledger, **options):
    """Do tasks that write through a folder of their own."""
    with folder_aside(ledger.store) as aside:
        executor = Here(**options) if client is HERE else OnDask(client, **options)
        return working.work(executor, todo, ledger, aside)


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


def slow_number(seconds, *numbers):
    time.sleep(seconds)
    return 1


def fail_twice(tries):
    with tries.open("a") as file:
        file.write("x")
    if tries.stat().st_size < 3:
        raise OSError("not yet")
    return {}


def warn():
    warnings.warn("beware", stacklevel=1)
    return {}


def warn_and_count(number):
    warnings.warn(f"{number} is few", RuntimeWarning, stacklevel=1)
    return number


@contextmanager
def two_workers():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(Deaths())
        yield client


@pytest.fixture(scope="module")
def cluster():
    with two_workers() as client:
        yield client


@pytest.fixture(params=["cluster", HERE])
def client(request):
    return HERE if request.param == HERE else request.getfixturevalue("cluster")


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


def test_no_more_tasks_than_the_window_are_with_the_scheduler(cluster, ledger, monkeypatch):
    monkeypatch.setattr(on_dask, "LEAST_WINDOW", 7)
    monkeypatch.setattr(working, "TICK", 0.0)
    seen = []
    todo = [task(str(k), slow, 0.005) for k in range(60)]

    def tick(state):
        seen.append(cluster.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))

    assert work(cluster, todo, ledger, tick=tick).done == 60
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
    for module in (working, here):
        monkeypatch.setattr(module, "TICK", 0.1)
    told = []
    work(client, [task(str(k), slow, 0.3) for k in range(6)], ledger, tick=told.append)
    workers = 1 if client is HERE else 2
    assert len(told) >= 3
    assert all(state["workers"] == workers for state in told)
    assert workers <= max(state["running"].get("ka_0.0", {}).get("hops", 0) for state in told) <= 6


def test_what_stops_a_tick_stops_the_work(client, ledger):
    def tick(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(client, [task("a", slow, 5.0)], ledger, tick=tick)
    assert not ledger.marks


def test_seconds_of_a_partial_result_are_counted_once_however_many_need_it(client, ledger):
    shared = partial("shared", slow_number, 0.4)
    parts = [partial(f"part{k}", slow_number, 0.1, needs=(shared.key,)) for k in range(3)]
    sums = [task(f"sum{k}", total, needs=(part.key, shared.key)) for k, part in enumerate(parts)]
    work(client, [shared, *parts, *sums], ledger)
    spent = [core_seconds(ledger.marks[each.key]) for each in sums]
    assert 0.7 <= sum(spent) < 1.1
    assert min(spent) < 0.4 < max(spent)


def test_seconds_of_a_task_on_several_threads_are_those_of_all_its_cores(ledger):
    work(HERE, [task("one", slow, 0.05), task("three", slow, 0.05, threads=3)], ledger)
    one, three = (core_seconds(ledger.marks[key]) for key in keys("one", "three"))
    assert 0.05 <= one < 0.15 <= three


def test_a_task_that_fails_now_and_then_is_tried_again(client, ledger, tmp_path):
    assert work(client, [task("a", fail_twice, tmp_path / "tries")], ledger).done == 1


def test_warnings_of_a_task_are_remembered_with_it(client, ledger):
    outcome = work(client, [task("a", warn)], ledger)
    assert outcome.warnings == {"hops-ka_0.0/a": ["beware"]}


def test_warnings_of_partial_results_reach_the_first_that_counts_them_and_no_other(client, ledger):
    todo = [
        partial("part0", warn_and_count, 0),
        partial("part1", warn_and_count, 1),
        partial("sum", slow_number, 0, needs=keys("part0", "part1")),
        task("a", total, needs=keys("sum", "part0")),
        task("b", total, needs=keys("sum"), after=keys("a")),
    ]
    outcome = work(client, todo, ledger)
    assert outcome.warnings == {"hops-ka_0.0/a": ["0 is few", "1 is few"]}
    assert Ledger(ledger.store).marks["hops-ka_0.0/a"]["warnings"] == ["0 is few", "1 is few"]


def test_the_traceback_of_a_failure_shows_where_it_was_raised(client, ledger):
    outcome = work(client, [task("a", refuse)], ledger)
    assert "in refuse" in outcome.tracebacks["hops-ka_0.0/a"]


def test_in_this_process_tasks_run_in_order_each_marked_before_the_next(ledger):
    here_now = os.getpid()
    seen = []

    def look(number):
        seen.append((os.getpid(), len(Ledger(ledger.store).marks)))
        return {}

    work(HERE, [task(str(k), look, k) for k in range(5)], ledger)
    assert seen == [(here_now, k) for k in range(5)]


def test_ctrl_c_stops_a_task_in_this_process(ledger):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(HERE, [task("a"), task("b", interrupt, after=keys("a"))], ledger)
    assert set(ledger.marks) == set(keys("a"))


INTERRUPTED = """
import signal, threading
from daskglass.pipeline.here import Here

start = threading.Thread.start

def interrupted(thread):
    start(thread)
    signal.raise_signal(signal.SIGINT)

threading.Thread.start = interrupted
list(Here().map(abs, [[1]]))
"""


def test_ctrl_c_as_a_task_begins_ends_this_process():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], timeout=60, stderr=subprocess.PIPE, text=True)
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert done.returncode == -signal.SIGINT
