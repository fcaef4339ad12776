"""The ledger remembers what is complete through crashes; the lock lets one process write."""

import json
import os
import subprocess
import sys

import pytest

from daskglass.errors import StoreError
from daskglass.ledger import Ledger, ledger_path, locked

ABC = {"hops": "abc"}


@pytest.fixture
def store(tmp_path):
    return tmp_path / "study.zarr"


def test_a_mark_holds_for_the_same_inputs_only(store):
    Ledger(store).complete("hops-a", ABC, {"seconds": 1.0})
    again = Ledger(store)
    assert again.is_done("hops-a", ABC)
    assert not again.is_done("hops-a", {"hops": "other"})
    assert not again.is_done("hops-b", ABC)


def test_beginning_a_task_drops_its_mark_on_disk(store):
    ledger = Ledger(store)
    ledger.complete("hops-a", ABC, {})
    ledger.begin(["hops-a", "never-done"])
    assert not Ledger(store).is_done("hops-a", ABC)


def test_a_line_cut_short_counts_as_not_done_and_spoils_nothing(store):
    ledger = Ledger(store)
    ledger.complete("hops-a", ABC, {})
    ledger.complete("hops-b", ABC, {})
    text = ledger_path(store).read_text()
    ledger_path(store).write_text(text[:-20])
    torn = Ledger(store)
    assert torn.is_done("hops-a", ABC)
    assert not torn.is_done("hops-b", ABC)
    torn.complete("hops-c", ABC, {})
    assert Ledger(store).is_done("hops-c", ABC)


def test_the_lock_is_released_in_the_end_even_after_an_error(store):
    with pytest.raises(RuntimeError), locked(store):
        raise RuntimeError
    with locked(store):
        assert store.with_name("study.zarr.lock").exists()
    assert not store.with_name("study.zarr.lock").exists()


def test_a_store_that_another_process_writes_to_is_refused(store):
    hold = (
        "import sys\nfrom pathlib import Path\nfrom daskglass.ledger import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {other.pid} .* is writing to this store"), locked(store):
            pass
        other.stdin.close()
        other.wait(timeout=30)


def test_the_lock_of_a_process_that_died_is_explained_and_taken(store):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(timeout=30)
    lock = store.with_name("study.zarr.lock")
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": dead.pid, "started": 0.0}))
    with pytest.warns(UserWarning, match="died without releasing"), locked(store):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_the_lock_of_a_reused_process_number_is_stale(store):
    lock = store.with_name("study.zarr.lock")
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": os.getpid(), "started": 0.0}))
    with pytest.warns(UserWarning, match="died without releasing"), locked(store):
        pass


@pytest.mark.parametrize("text", ['{"host": "elsewhere", "pid": 1, "started": 0}', "not json"])
def test_a_lock_that_cannot_be_judged_from_here_is_left_alone(store, text):
    lock = store.with_name("study.zarr.lock")
    lock.write_text(text)
    with pytest.raises(StoreError, match="delete this file"), locked(store):
        pass
    assert lock.exists()
