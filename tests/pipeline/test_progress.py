"""How far a run is follows from its ledger and its lock alone, however often and wherever in a line one looks."""

import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from daskglass.cli.watching import watch
from daskglass.errors import StoreError
from daskglass.pipeline.progress import MINUTE, NOTES, Follower, Tally, duration, headline, progress, rate
from daskglass.store.ledger import Ledger, completed, failed
from daskglass.store.lock import locked
from daskglass.study.paths import ledger_path, lock_path

TOTALS = {"ka_0.0": {"convert": 4, "train": 1}, "ka_0.2": {"convert": 2}}
BEGAN = 10_000.0


def plan(done=None, at=BEGAN, totals=TOTALS, particles=100):
    of_systems = dict.fromkeys(totals, particles)
    return {
        "key": "plan", "inputs": {}, "at": at, "study": "two", "particles": of_systems, "totals": totals,
        "done": done or {},
    }  # fmt: skip


def finished(key, at=BEGAN + 10, seconds=2.0, **receipt):
    return {"key": key, "inputs": {"file": "a"}, "at": at, "seconds": seconds, **receipt}


def tally_of(*entries):
    tally = Tally()
    for entry in entries:
        tally.take(entry)
    return tally


def seen(*entries, workers=2, now=BEGAN + 20, **lock):
    holder = {"host": "login1", "pid": 7, "started": BEGAN - 5, "at": now, "workers": workers, **lock}
    return progress(tally_of(*entries), holder, False, now)


def row_of(found, system, stage):
    (row,) = (row for row in found.rows if (row.system, row.stage) == (system, stage))
    return row


@pytest.fixture
def store(tmp_path):
    return tmp_path / "two.zarr"


def write(store, *entries):
    with ledger_path(store).open("a") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)


# --- numbers of tasks ---


def test_done_are_those_of_the_plan_and_those_after_it():
    before = finished("convert-ka_0.0/production/T0.8/r0/0", at=BEGAN - 100)
    after = finished("convert-ka_0.0/production/T0.8/r0/16")
    found = seen(before, plan(done={"ka_0.0": {"convert": 1}}), after)
    row = row_of(found, "ka_0.0", "convert")
    assert (row.total, row.done, row.left) == (4, 2, 2)
    assert (found.total.total, found.total.done) == (7, 2)


def test_systems_and_stages_stand_in_the_order_of_the_study():
    found = seen(plan())
    assert found.systems == ("ka_0.0", "ka_0.2")
    assert found.stages == ("convert", "train")


def test_running_are_those_of_the_lock():
    found = seen(plan(), running={"ka_0.2": {"convert": 2}})
    assert row_of(found, "ka_0.2", "convert").running == 2
    assert row_of(found, "ka_0.0", "convert").running == 0


def test_a_failed_task_counts_until_it_is_tried_again():
    key = "convert-ka_0.0/production/T0.8/r0/0"
    broken = [plan(), failed(key, "a.gsd: damaged")]
    row = row_of(seen(*broken), "ka_0.0", "convert")
    assert (row.failed, row.left) == (1, 3)
    assert row_of(seen(*broken, {"key": key}), "ka_0.0", "convert").failed == 0
    mended = row_of(seen(*broken, finished(key)), "ka_0.0", "convert")
    assert (mended.failed, mended.done) == (0, 1)


KEYS = [f"convert-ka_0.0/production/T0.8/r0/{k}" for k in range(3)] + [
    "train-ka_0.0",
    "convert-ka_0.2/production/T1.0/r0/0",
]
LINES = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["begin", "complete", "fail"])).map(
        lambda what: {
            "begin": {"key": what[0]},
            "complete": {**completed(what[0], {}, {"seconds": 1.0}), "at": BEGAN + 1},
            "fail": failed(what[0], "because"),
        }[what[1]]
    ),
    max_size=30,
)


@given(LINES, st.lists(st.integers(0, 4000), max_size=6))
def test_a_ledger_looked_at_anywhere_on_its_way_gives_what_the_whole_gives(tmp_path_factory, lines, cuts):
    store = tmp_path_factory.mktemp("cut") / "two.zarr"
    whole = "".join(json.dumps(line) + "\n" for line in [plan(), *lines]).encode()
    ends = [*sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    ledger_path(store).touch()
    follower = Follower(store)
    for start, end in zip([0, *ends], ends, strict=False):
        with ledger_path(store).open("ab") as file:
            file.write(whole[start:end])
        found = follower.look()
    ledger = Ledger(store)
    del ledger.marks["plan"]
    assert found.total.done == len(ledger.marks.keys() - ledger.failures.keys())
    assert found.total.failed == len(ledger.failures)


def test_a_line_cut_short_by_a_crash_is_passed_over(store):
    write(store, plan())
    with ledger_path(store).open("a") as file:
        file.write('{"key": "train-ka_0.0", "inp\n')
    write(store, finished("train-ka_0.0"))
    assert Follower(store).look().total.done == 1


def test_a_ledger_that_took_the_place_of_another_is_read_from_its_start(store):
    write(store, plan(), *(finished(key) for key in KEYS))
    follower = Follower(store)
    assert follower.look().total.done == 5
    ledger_path(store).unlink()
    write(store, plan(), finished("train-ka_0.0"))
    assert follower.look().total.done == 1


# --- speed and time left ---


def test_speed_is_particle_frames_of_the_last_minute():
    old = [finished(key, at=BEGAN + 100 * k, frames=16) for k, key in enumerate(KEYS[:2])]
    new = [finished(key, at=BEGAN + 190, frames=8) for key in (KEYS[2], KEYS[4])]
    found = seen(plan(), *old, *new, now=BEGAN + 200)
    assert found.speed == {"convert": pytest.approx(2 * 8 * 100 / MINUTE)}


def test_speed_of_a_stage_that_has_just_begun_is_since_its_first_task_began():
    found = seen(plan(), finished(KEYS[0], at=BEGAN + 16, seconds=6.0, frames=16), now=BEGAN + 20)
    assert found.speed == {"convert": pytest.approx(16 * 100 / 10)}


def test_speed_of_long_tasks_looks_back_over_two_of_them():
    long = [finished(key, at=BEGAN + 1000 * (k + 1), seconds=1000.0, frames=16) for k, key in enumerate(KEYS[:2])]
    found = seen(plan(), *long, now=BEGAN + 2500)
    assert found.speed == {"convert": pytest.approx(2 * 16 * 100 / 2000)}


def test_time_left_is_the_mean_time_of_the_tasks_left_over_the_workers():
    everything = [
        finished("train-ka_0.0", seconds=30.0),
        finished(KEYS[0], seconds=2.0),
        finished(KEYS[1], seconds=6.0),
    ]
    found = seen(plan(), *everything, workers=2)
    assert found.remaining == pytest.approx(4 * 4.0 / 2)
    assert "about 8 s left" in headline(found)


def test_time_left_is_never_less_than_one_task():
    earlier = finished("train-ka_0.0", at=BEGAN - 100, seconds=30.0)
    found = seen(earlier, plan(totals={"ka_0.0": {"train": 1}}), workers=500)
    assert found.remaining == pytest.approx(30.0)


def test_time_left_says_which_stages_it_does_not_know():
    found = seen(plan(), finished(KEYS[0], seconds=2.0))
    assert found.unknown == ("train",)
    assert "at least 5 s left (train not counted)" in headline(found)
    assert "time left not known yet" in headline(seen(plan()))


def test_without_workers_nothing_is_said_of_the_time_left():
    found = seen(plan(), finished(KEYS[0]), workers=0)
    assert found.remaining is None
    assert "0 workers, time left unknown until there are workers" in headline(found)


# --- warnings and failures ---


def test_notes_come_newest_first_and_those_of_one_cause_together():
    notes = seen(
        plan(),
        finished(KEYS[0], at=BEGAN + 1, warnings=["no T = 0.5 here"]),
        {**failed(KEYS[1], "a.gsd: damaged"), "at": BEGAN + 2},
        {**failed("train-ka_0.0", "a.gsd: damaged"), "at": BEGAN + 3},
        finished(KEYS[2], at=BEGAN + 4, unconverged=[3, 7]),
    ).notes
    assert [(note.kind, note.tasks) for note in notes] == [("warning", 1), ("failed", 2), ("warning", 1)]
    assert notes[0].text.endswith("left out: 2")
    assert (notes[1].text, notes[1].key) == ("a.gsd: damaged", KEYS[1])


def test_a_handful_of_notes_is_shown_the_last_ones():
    notes = seen(plan(), *(finished(KEYS[0], at=BEGAN + k, warnings=[f"text {k}"]) for k in range(20))).notes
    assert [note.text for note in notes] == [f"text {k}" for k in range(19, 19 - NOTES, -1)]


def test_what_an_earlier_run_said_is_not_repeated():
    found = seen(plan(at=BEGAN - 100), failed(KEYS[0], "disk full"), finished(KEYS[1], warnings=["odd"]), plan())
    assert found.notes == ()
    assert found.total.failed == 0


# --- states ---


def test_a_run_that_holds_the_store_is_running_and_one_that_let_go_is_finished_or_stopped(store):
    with locked(store) as tell:
        write(store, plan(totals={"ka_0.0": {"train": 1}}, at=time.time()))
        tell({"workers": 3, "dashboard": "http://127.0.0.1:8787/status", "running": {}})
        follower = Follower(store)
        found = follower.look()
        assert (found.state, found.workers, found.alive) == ("running", 3, True)
        assert found.dashboard == "http://127.0.0.1:8787/status"
    assert (follower.look().state, follower.look().alive) == ("stopped", False)
    write(store, finished("train-ka_0.0"))
    assert follower.look().state == "finished"


def test_a_run_is_not_finished_while_a_task_failed():
    found = progress(tally_of(plan(totals={"ka_0.0": {"train": 1}}), failed("train-ka_0.0", "no")), None, False, BEGAN)
    assert headline(found) == "stopped, 0 of 1 tasks done, 1 failed"


def test_the_plan_of_an_earlier_run_is_not_taken_for_that_of_one_that_is_still_planning():
    found = seen(plan(), started=BEGAN + 10)
    assert (found.rows, found.alive) == ((), True)
    assert headline(found) == "planning, or waiting for workers"


def test_a_run_that_says_nothing_any_more_is_silent_and_named():
    found = seen(plan(), now=BEGAN + 1000, at=BEGAN + 400)
    assert (found.state, found.alive) == ("silent", True)
    assert headline(found) == "the run on login1, process 7, has not reported for 10 min"


def test_a_run_with_nothing_left_is_neither_silent_nor_running_tasks():
    done = [plan(totals={"ka_0.0": {"train": 1}}), finished("train-ka_0.0")]
    found = seen(*done, now=BEGAN + 1000, at=BEGAN + 11, running={"ka_0.0": {"train": 1}})
    assert (found.state, found.total.running) == ("running", 0)
    assert headline(found).endswith("1 of 1 tasks done, 2 workers, nothing left")


def test_a_dead_process_that_holds_the_store_is_silent_at_once(store):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(child.pid).create_time()
    child.communicate(b"\n")
    write(store, plan())
    lock_path(store).write_text(
        json.dumps({"host": socket.gethostname(), "pid": child.pid, "started": started, "at": time.time()})
    )
    found = Follower(store).look()
    assert (found.state, found.alive) == ("silent", False)
    assert f"process {child.pid}, died holding the store" in headline(found)


def test_a_store_that_is_not_there_is_refused_with_a_remedy(store):
    with pytest.raises(StoreError, match=r"two.zarr: no store here: `daskglass run STUDY.yaml` makes one"):
        Follower(store).look()


# --- words ---


def test_core_seconds_are_those_of_complete_tasks_and_the_partial_results_behind_them():
    first, second = (finished(key, seconds=2.0, partial_seconds=5.0) for key in KEYS[:2])
    again = [{"key": KEYS[0]}, finished(KEYS[0], seconds=3.0)]
    assert seen(plan(), first, second).spent == {"convert": 14.0}
    assert seen(plan(), first, second, *again).spent == {"convert": 10.0}
    assert seen(plan(), first, {"key": KEYS[0]}, plan()).spent == {}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (150, "2 min"), (9000, "2.5 h"), (200_000, "2.3 days")]
)
def test_durations_are_said_in_words(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("speed", "text"), [(940, "940"), (2840, "2.8 k"), (12_400, "12 k"), (3.4e6, "3.4 M")])
def test_speeds_are_said_shortly(speed, text):
    assert rate(speed) == text


# --- in a terminal ---


def test_off_a_terminal_a_run_is_printed_once(store):
    with locked(store) as tell:
        write(store, plan(at=time.time()), finished(KEYS[0]), failed("train-ka_0.0", "too few examples " * 10))
        tell({"workers": 1, "running": {"ka_0.2": {"convert": 1}}})
        text = io.StringIO()
        watch(store, Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("two: running for 0 s, 1 of 7 tasks done, 1 failed, 1 worker, about 10 s left")
    assert any("convert" in line and "1 of 4" in line and "0 of 2  1 running" in line for line in lines)
    assert any(("too few examples " * 10).strip() in line for line in lines)


def test_watching_ends_with_the_run(store):
    text = io.StringIO()
    watching = threading.Thread(target=watch, args=(store, Console(file=text, force_terminal=True, width=120)))
    with locked(store) as tell:
        write(store, plan(totals={"ka_0.0": {"train": 1}}, at=time.time()))
        tell({"workers": 1, "running": {"ka_0.0": {"train": 1}}})
        watching.start()
        while "1 running" not in text.getvalue():
            time.sleep(0.05)
        write(store, finished("train-ka_0.0"))
        assert watching.is_alive()
    watching.join(timeout=60)
    assert not watching.is_alive()
    assert "finished, 1 of 1 tasks done" in text.getvalue()


def test_control_c_ends_watching_and_is_no_failure(store):
    ours, theirs = pty.openpty()
    with locked(store) as tell:
        write(store, plan(at=time.time()))
        tell({"workers": 1, "running": {}})
        process = subprocess.Popen([sys.executable, "-m", "daskglass", "watch", str(store)], stdout=theirs)
        os.close(theirs)
        shown = b""
        while b"tasks done" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    os.close(ours)
