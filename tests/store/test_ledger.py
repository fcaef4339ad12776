"""The ledger remembers what is complete through crashes; the lock lets one process write."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from daskglass.errors import StoreError
from daskglass.store import lock as lock_module
from daskglass.store.ledger import Ledger
from daskglass.store.lock import holder_of, is_dead, locked, process_identity
from daskglass.study.paths import ledger_path, lock_path
from tests.studies import started

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
        "import sys\nfrom pathlib import Path\nfrom daskglass.store.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with started("-c", hold, store, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
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
    with pytest.warns(UserWarning, match="died holding the store's lock"), locked(store):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_the_lock_of_a_reused_process_number_is_stale(store):
    lock = store.with_name("study.zarr.lock")
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": os.getpid(), "started": 0.0}))
    with pytest.warns(UserWarning, match="died holding the store's lock"), locked(store):
        pass


@pytest.mark.parametrize("text", ['{"host": "elsewhere", "pid": 1, "started": 0}', "not json"])
def test_a_lock_that_cannot_be_judged_from_here_is_left_alone(store, text):
    lock = store.with_name("study.zarr.lock")
    lock.write_text(text)
    with pytest.raises(StoreError, match="delete this file"), locked(store):
        pass
    assert lock.exists()


@pytest.mark.parametrize(
    "line",
    [b"[]", b"7", b'"key"', b"{}", b'{"key": 1}', b'{"key": "a", "inputs": []}', b'{"key": "a", "failed": 1}',
     b'{"key": "a", "at": "now"}', b'{"key": "\xff"}'],
)  # fmt: skip
def test_a_file_that_is_no_ledger_is_refused_with_its_line_and_a_remedy(store, line):
    Ledger(store).complete("hops-a", ABC, {})
    with ledger_path(store).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(StoreError, match=r"study\.zarr\.ledger:2: not .* of a ledger .*: restore a copy"):
        Ledger(store)


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"host": 1}', b'{"host": "a", "pid": []}', b"\xff", b""])
def test_a_lock_of_another_shape_is_left_alone_and_named(store, text):
    lock = store.with_name("study.zarr.lock")
    lock.write_bytes(text)
    with pytest.raises(StoreError, match=r"study\.zarr\.lock: .* an unknown host .* delete this file"), locked(store):
        pass
    assert lock.read_bytes() == text


def test_a_clock_that_is_set_leaves_a_live_lock_alive(store, monkeypatch):
    lock = store.with_name("study.zarr.lock")
    with locked(store):
        holder = holder_of(lock)
        monkeypatch.setattr("psutil.Process.create_time", lambda self: 0.0)
        assert not is_dead(holder)
        with pytest.raises(StoreError, match="wait for it, or stop it"), locked(store):
            pass
    assert not lock.exists()


def test_a_process_differs_from_a_later_one_of_its_number():
    mine = process_identity(os.getpid())
    assert mine == process_identity(os.getpid()) != ""
    boot, _, ticks = mine.partition(":")
    assert is_dead({"pid": os.getpid(), "process": f"{boot}:{int(ticks) - 1}"})
    assert is_dead({"pid": os.getpid(), "process": f"{boot[::-1]}:{ticks}"})


def test_the_ticks_of_a_process_are_those_at_which_it_began():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    with started("-c", "input()", stdin=subprocess.PIPE) as child:
        after = time.clock_gettime(time.CLOCK_BOOTTIME)
        began = int(process_identity(child.pid).partition(":")[2]) / os.sysconf("SC_CLK_TCK")
        child.communicate(b"\n")
    # in whole ticks
    assert before - 0.02 <= began <= after + 0.02


def test_a_process_that_ended_is_dead_even_before_its_parent_knows():
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as ended:
        # closed by the end of the process alone, a moment before it is a zombie
        assert ended.stdout.read() == b""
        patience = time.monotonic() + 10
        while process_identity(ended.pid) and time.monotonic() < patience:
            time.sleep(0.01)
        assert process_identity(ended.pid) == ""
        # a zombie until it is waited for
        assert os.path.exists(f"/proc/{ended.pid}")


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK])
def test_a_store_is_locked_where_files_have_one_name(store, monkeypatch, code):
    def link(old, new):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)
    with locked(store) as tell:
        assert holder_of(store.with_name("study.zarr.lock"))["pid"] == os.getpid()
        with pytest.raises(StoreError, match="is writing to this store"), locked(store):
            pass
        tell({"workers": 2})
    assert list(store.parent.iterdir()) == []


def test_a_lock_is_its_owners_alone(store):
    lock = store.with_name("study.zarr.lock")
    with locked(store) as tell:
        assert lock.stat().st_mode & 0o077 == 0
        tell({"dashboard": "http://127.0.0.1/secret"})
        assert lock.stat().st_mode & 0o077 == 0


def test_a_lock_that_another_process_takes_a_moment_before_is_given_back(store, monkeypatch):
    lock = store.with_name("study.zarr.lock")
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": 2**22 + 1, "started": 0.0}))
    other = {
        "host": os.uname().nodename,
        "pid": os.getppid(),
        "started": 0.0,
        "process": process_identity(os.getppid()),
    }

    def taken_meanwhile(holder):
        if holder["pid"] != other["pid"]:
            lock.write_text(json.dumps(other))
            return True
        return is_dead(holder)

    monkeypatch.setattr(lock_module, "is_dead", taken_meanwhile)
    with pytest.raises(StoreError, match=f"process {other['pid']} .* is writing to this store"), locked(store):
        pass
    assert json.loads(lock.read_text()) == other


def test_what_a_killed_process_left_of_a_lock_is_removed_by_the_next(store):
    left = [store.with_name(name) for name in (f"{store.name}.lock.1f", f".{store.name}.lock.2e.part")]
    for file in left:
        file.write_text('{"host": "he')
    other = store.with_name(f"{store.name}2.lock")
    other.touch()
    with locked(store):
        assert not any(file.exists() for file in left)
    assert other.exists()
    assert not lock_path(store).exists()
