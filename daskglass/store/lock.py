"""Who may write to a store: one process at a time, named in a lock beside it."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from daskglass.errors import StoreError
from daskglass.store.durable import hard_link, replace_file
from daskglass.study.paths import lock_path

PRIVATE = 0o600  # of the lock, which contains the address of the run's dashboard


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


def holder_of(lock: Path) -> dict[str, Any] | None:
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
