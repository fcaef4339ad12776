"""Whether a store is as it was written: sizes when a run starts, checksums on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daskglass.errors import StoreError
from daskglass.stages import registry
from daskglass.store import blocks as store
from daskglass.store import wholeness
from daskglass.store.ledger import Ledger, stage_and_system
from daskglass.study.paths import ledger_path


def ledger_of(path: Path) -> Ledger:
    """The ledger of a store, once what a crash left is repaired."""
    if path.exists() and not ledger_path(path).exists():
        raise StoreError(
            f"lies here without its ledger {ledger_path(path).name}", file=path, remedy="move both together"
        )
    store.recover(path)
    return Ledger(path)


def take_damaged_back(path: Path, ledger: Ledger) -> dict[str, list[str]]:
    """Take back the marks of tasks whose files are not there as they were written; what is wrong, by task."""
    files = wholeness.Files(path)
    damaged = {
        key: [f"{wrong}: done again"] for key, mark in ledger.marks.items() if (wrong := _wrong(path, mark, files))
    }
    ledger.begin(damaged)
    return damaged


def _wrong(path: Path, mark: Mapping[str, Any], files: wholeness.Files) -> str:
    if "wrote" in mark:
        return wholeness.wrong_files(path, mark["wrote"], files)
    return wholeness.wrong_beside(path, mark.get("files", {}))


@dataclass(frozen=True)
class Check:
    """What of a store is as it was written: numbers of tasks and bytes that were read, and what is wrong, by task."""

    whole: int
    nbytes: int
    unknown: int
    wrong: Mapping[str, str]


def check(path: Path) -> Check:
    """Read all that complete tasks wrote, and compare it with their checksums; the caller holds the store's lock.

    What is not as it was written loses its mark: the next run does it again. `unknown` are tasks that were completed by a
    version that kept no checksums.

    Raises
    ------
    StoreError
        If there is no store, or no ledger.
    """
    store.open_store(path)
    ledger, files = ledger_of(path), wholeness.Files(path)
    marks = {key: mark for key, mark in ledger.marks.items() if "wrote" in mark}
    wrong = {
        key: problem
        for key, mark in marks.items()
        if (problem := wholeness.wrong_files(path, mark["wrote"], files, read=True))
    }
    ledger.begin(wrong)
    outside = ("simulate", registry.FIGURES)
    of_store = [
        key for key in ledger.marks if (stage := stage_and_system(key)[0]) in registry.names() and stage not in outside
    ]
    sizes = (size for key, mark in marks.items() if key not in wrong for size, _ in mark["wrote"]["arrays"].values())
    return Check(len(marks) - len(wrong), sum(sizes), len(set(of_store) - set(marks)), wrong)
