"""The ledger of complete tasks, and the lock that lets one process write to a store."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from daskglass.errors import StoreError, system_error
from daskglass.store.durable import hard_link, replace_file, sync
from daskglass.study.paths import ledger_path, lock_path

Entry = dict[str, Any]
PRIVATE = 0o600  # of the lock, which contains the address of the run's dashboard


class Ledger:
    """Journal of complete tasks and their inputs; the last line of a key is valid.

    A line cut short by a crash is ignored: its task counts as not done.

    Attributes
    ----------
    marks : entries of complete tasks, by key
    failures : entries of tasks whose last try failed, by key

    Raises
    ------
    StoreError
        If the file is not a ledger.
    """

    def __init__(self, store: Path) -> None:
        self.store, self.path = store, ledger_path(store)
        self.marks: dict[str, Entry] = {}
        self.failures: dict[str, Entry] = {}
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        for number, line in enumerate(lines, 1):
            if (entry := read_entry(line, f"{self.path}:{number}")) is not None:
                self._apply(entry)

    def _apply(self, entry: Entry) -> None:
        key = entry["key"]
        self.failures.pop(key, None)
        if "failed" in entry:
            # an earlier result stays valid
            self.failures[key] = entry
            return
        self.marks.pop(key, None)
        if "inputs" in entry:
            self.marks[key] = entry

    def create(self) -> None:
        """Create the file if it is missing: a store without its ledger is refused."""
        self.path.touch()
        sync(self.path, self.path.parent)

    def changed(
        self, key: str, inputs: Mapping[str, str], earlier: Mapping[str, Collection[str]] | None = None
    ) -> list[str]:
        """Names of the inputs that differ from those a complete task was made from; what it noted besides does not count.

        A mark may lack what is empty. `earlier`: hashes of whole sections of settings, which stand for each of their keys in
        marks of daskglass 0.1.0.
        """
        mark, sections = self.marks[key]["inputs"], earlier or {}
        return [
            name
            for name, value in inputs.items()
            if mark.get(name, value) != value
            or (name not in mark and value and mark.get(section := _section(name)) not in sections.get(section, ()))
        ]

    def is_done(
        self, key: str, inputs: Mapping[str, str], earlier: Mapping[str, Collection[str]] | None = None
    ) -> bool:
        """Whether a task was completed from the same inputs; see `changed`."""
        return key in self.marks and not self.changed(key, inputs, earlier)

    def begin(self, keys: Iterable[str]) -> None:
        """Drop the marks of tasks about to run."""
        self.record({"key": key} for key in keys if key in self.marks or key in self.failures)

    def complete(self, key: str, inputs: Mapping[str, str], receipt: Mapping[str, Any]) -> None:
        """Mark a task whose data is on disk, with the hashes of its inputs."""
        self.record([completed(key, inputs, receipt)])

    def record(self, entries: Iterable[Entry]) -> None:
        """Write entries from `completed` and `failed`; all are on disk when this returns."""
        written = list(entries)
        self._append(written)
        for entry in written:
            self._apply(entry)

    def _append(self, entries: Iterable[Entry]) -> None:
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        if not text:
            return
        try:
            with self.path.open("a+b") as file:
                # after a line cut short, start a new one
                if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                    text = "\n" + text
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise system_error(error, self.path) from error


def _section(name: str) -> str:
    # which positions there are is decided by the section `inherent`
    return "inherent" if name == "positions" else name.partition(".")[0]


def stage_and_system(key: str) -> tuple[str, str]:
    """Stage and system that the key of a task begins with; Dask's dashboard groups by what is before the dash."""
    stage, _, what = key.partition("-")
    return stage, what.partition("/")[0]


def read_entry(line: bytes, where: str) -> Entry | None:
    """Read a line of a ledger; None if it was cut short.

    Raises
    ------
    StoreError
        If it is complete, but not an entry of a ledger.
    """
    remedy = "restore a copy of the ledger, or delete it and its store to start over"
    try:
        entry = json.loads(line.decode("utf-8"))
    except json.JSONDecodeError:
        return None
    except (UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{where}: not a line of a ledger ({error})", remedy=remedy) from None
    if not (
        isinstance(entry, dict)
        and isinstance(entry.get("key"), str)
        and isinstance(entry.get("inputs", {}), dict)
        and isinstance(entry.get("failed", ""), str)
        and isinstance(entry.get("at", 0.0), int | float)
    ):
        raise StoreError(f"{where}: not an entry of a ledger ({line[:60]!r})", remedy=remedy)
    return entry


def completed(key: str, inputs: Mapping[str, str], receipt: Mapping[str, Any]) -> Entry:
    """Entry of a task whose data is on disk."""
    return {"key": key, "inputs": dict(inputs), "at": round(time.time(), 3), **receipt}


def failed(key: str, cause: str) -> Entry:
    """Entry of a failed task."""
    return {"key": key, "failed": cause, "at": round(time.time(), 3)}


def notes(mark: Entry) -> list[str]:
    """Warnings of a complete task, and its frames that did not converge."""
    found = [f"{mark['key']}: {text}" for text in mark.get("warnings", [])]
    if unconverged := mark.get("unconverged"):
        found.append(f"{mark['key']}: {len(unconverged)} frames did not converge and are left out: {unconverged}")
    return found


@contextmanager
def locked(store: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Lock the store for writing by this process.

    Yields a function that writes the state of the run into the lock, for others to read.

    Raises
    ------
    StoreError
        If another process holds the lock.
    """
    lock = lock_path(store)
    mine = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process": process_identity(os.getpid()),
        "started": psutil.Process().create_time(),
    }
    lock.parent.mkdir(parents=True, exist_ok=True)
    while not _create(lock, json.dumps(mine)):
        _take_if_stale(lock)
    _clear_remains(lock, json.dumps(mine))
    try:
        yield lambda state: replace_file(lock, json.dumps({**mine, "at": round(time.time(), 3), **state}), PRIVATE)
    finally:
        lock.unlink(missing_ok=True)


def _create(lock: Path, text: str) -> bool:
    """Create a complete file unless it exists; return whether it did not."""
    written = lock.with_name(f"{lock.name}.{uuid.uuid4().hex}")
    try:
        replace_file(written, text, PRIVATE)
        if not hard_link(written, lock):
            with open(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w", encoding="utf-8") as file:
                file.write(text)
    except (FileExistsError, FileNotFoundError):  # another process was first, and may have removed our file
        return False
    finally:
        written.unlink(missing_ok=True)
    return True


def _clear_remains(lock: Path, mine: str) -> None:
    """Remove files beside the lock, left by processes that died while they wrote it."""
    for file in list(lock.parent.iterdir()):
        if file.name.startswith((f"{lock.name}.", f".{lock.name}.")):
            with suppress(FileNotFoundError):
                # a process that found an older lock stale may move ours for a moment, and moves it back
                if file.read_bytes() != mine.encode():
                    file.unlink()


def holder_of(lock: Path) -> Entry | None:
    """Entry of the process that holds a lock; None if there is no lock.

    Raises
    ------
    StoreError
        If the lock belongs to another user.
    """
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise StoreError(
            "a run of another user holds this store; only that user can see its progress", file=lock
        ) from error
    except (ValueError, RecursionError):
        holder = None
    types = {"host": str, "pid": int, "started": int | float}
    known = isinstance(holder, dict) and all(isinstance(holder.get(key), type_) for key, type_ in types.items())
    return holder if known else {"host": "an unknown host", "pid": "?"}


def process_identity(pid: int) -> str:
    """Identity of a process beyond its number: the boot, and its start in ticks since the boot; empty if none runs.

    Unlike a start time, it does not change when the clock is set.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # the name, in brackets, may contain spaces and brackets
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else f"{boot}:{fields[18]}"


def is_dead(holder: Mapping[str, Any]) -> bool:
    """Whether the holder of a lock, a process on this host, has ended."""
    if holder.get("process"):
        return process_identity(holder["pid"]) != holder["process"]
    try:
        process = psutil.Process(holder["pid"])
        return abs(process.create_time() - holder["started"]) >= 2 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _take_if_stale(lock: Path) -> None:
    if (holder := holder_of(lock)) is None:
        return
    who = f"process {holder['pid']} on {holder['host']}"
    if holder["host"] != socket.gethostname():
        raise StoreError(
            f"{who} is writing to this store", file=lock, remedy="if that process no longer exists, delete this file"
        )
    if not is_dead(holder):
        raise StoreError(f"{who} is writing to this store", file=lock, remedy="wait for it, or stop it")
    aside = lock.with_name(f"{lock.name}.{uuid.uuid4().hex}")
    try:
        os.rename(lock, aside)
    except FileNotFoundError:
        return
    taken = holder_of(aside)
    if taken is not None and (taken["host"], taken["pid"]) != (holder["host"], holder["pid"]):
        # another process took it over a moment before, and holds the store now
        os.rename(aside, lock)
        return
    aside.unlink()
    warnings.warn(f"{lock}: {who} died holding the store's lock; taking it over", stacklevel=4)
