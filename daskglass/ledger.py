"""What is complete in a store, and who may write to it."""

from __future__ import annotations

import json
import os
import socket
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from daskglass.errors import StoreError


def ledger_path(store: Path) -> Path:
    """File of a store's ledger, beside it (Zarr readers complain about foreign files inside)."""
    return store.with_name(f"{store.name}.ledger")


class Ledger:
    """What is complete in a store, and from which inputs: a journal of lines, the last one about a key holds.

    A line cut short by a crash is ignored: its task then counts as not done.
    """

    def __init__(self, store: Path) -> None:
        self.store, self.path = store, ledger_path(store)
        self.marks: dict[str, dict[str, Any]] = {}
        for line in (self.path.read_text(encoding="utf-8") if self.path.exists() else "").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if "inputs" in entry:
                self.marks[entry["key"]] = entry
            else:
                self.marks.pop(entry["key"], None)

    def create(self) -> None:
        """Make the file where there is none: a store without its ledger is refused."""
        self.path.touch()

    def is_done(self, key: str, inputs: Mapping[str, str]) -> bool:
        """Whether a task was completed from the same inputs."""
        return key in self.marks and self.marks[key]["inputs"] == inputs

    def begin(self, keys: Iterable[str]) -> None:
        """Drop the marks of tasks about to run."""
        stale = [key for key in keys if self.marks.pop(key, None) is not None]
        self._append({"key": key} for key in stale)

    def complete(self, key: str, inputs: Mapping[str, str], receipt: Mapping[str, Any]) -> None:
        """Mark a task whose data is on disk, with hashes of what it was made from, by name."""
        entry = {"key": key, "inputs": dict(inputs), "at": round(time.time(), 3), **receipt}
        self.marks[key] = entry
        self._append([entry])

    def _append(self, entries: Iterable[Mapping[str, Any]]) -> None:
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
            raise StoreError(
                f"{self.path}: cannot be written: {error.strerror}: mend this, and the same command continues"
            ) from error


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Hold the store for writing; one process at a time.

    Raises
    ------
    StoreError
        If another process holds it.
    """
    lock = store.with_name(f"{store.name}.lock")
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            _take_if_stale(lock)
            continue
        break
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(mine, file)
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take_if_stale(lock: Path) -> None:
    try:
        holder = json.loads(lock.read_text())
    except FileNotFoundError:
        return
    except json.JSONDecodeError:
        holder = {"host": "an unknown host", "pid": "?"}
    who = f"process {holder['pid']} on {holder['host']}"
    if holder["host"] != socket.gethostname():
        raise StoreError(f"{lock}: {who} is writing to this store; if it is gone for certain, delete this file")
    if psutil.pid_exists(holder["pid"]):
        process = psutil.Process(holder["pid"])
        if abs(process.create_time() - holder["started"]) < 2 and process.status() != psutil.STATUS_ZOMBIE:
            raise StoreError(f"{lock}: {who} is writing to this store; wait for it, or stop it")
    warnings.warn(f"{lock}: {who} died without releasing the store; taking it over", stacklevel=4)
    lock.unlink(missing_ok=True)


def replace_file(file: Path, text: str) -> None:
    """Write a text file whole: a reader sees the old or the new one, never half."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, file)
