"""What is complete in a store, and from which inputs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from daskglass.errors import StoreError, system_error
from daskglass.store.durable import sync
from daskglass.study.paths import ledger_path

Entry = dict[str, Any]


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


def core_seconds(mark: Entry) -> float:
    """Seconds of one core that a complete task took on all its threads, with those of the partial results behind it."""
    return float(mark.get("seconds", 0.0) * mark.get("threads", 1) + mark.get("partial_seconds", 0.0))


def core_seconds_of(store: Path) -> dict[str, dict[str, float]]:
    """Seconds of one core that all complete tasks of a store took, by stage and system."""
    spent: dict[str, dict[str, float]] = {}
    for key, mark in Ledger(store).marks.items():
        if seconds := core_seconds(mark):
            stage, system = stage_and_system(key)
            of_stage = spent.setdefault(stage, {})
            of_stage[system] = of_stage.get(system, 0.0) + seconds
    return spent


def notes(mark: Entry) -> list[str]:
    """Warnings of a complete task, and its frames that did not converge."""
    found = list(mark.get("warnings", []))
    if unconverged := mark.get("unconverged"):
        found.append(f"{len(unconverged)} frames did not converge and are left out: {unconverged}")
    return found
