"""Whether a store still holds what was written to it; and taking back what is to be written again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daskglass.errors import StoreError
from daskglass.store.aside import discard, name_aside, sizes_below, sums_of, total
from daskglass.store.blocks import Block, row_on_disk


@dataclass(frozen=True)
class Region:
    """What a task writes: variables of a block, arrays of a table, or (without names) a table as a whole."""

    group: str
    names: tuple[str, ...] = ()
    block: Block | None = None


def erase(path: Path, regions: Iterable[Region]) -> None:
    """Take back what tasks wrote that are about to run again: a reader then sees it as not there.

    Tasks themselves never take anything back: a second copy of one, which may come late and die at any moment, would take
    what the first has written, and nobody would write it again.
    """
    files = Files(path)
    with name_aside(path) as aside:
        for region in regions:
            group = path / region.group
            if region.block is not None:
                for name in region.names:
                    for file in files.there(region.group, name, region.block):
                        (group / name / file).unlink()
                continue
            for folder in [group / name for name in region.names] if region.names else [group]:
                if folder.exists():
                    discard(folder, aside.with_name(uuid.uuid4().hex))


def wrong_files(path: Path, wrote: Mapping[str, Any], files: Files | None = None, read: bool = False) -> str:
    """Say what of a task's result is no longer as it was written; empty if all is.

    Parameters
    ----------
    path : the store
    wrote : what the ledger keeps of the task
    files : those that are there, looked up once for many tasks
    read : read all files and compare their checksums; else their number and sizes only
    """
    files = Files(path) if files is None else files
    group = wrote["group"]
    if not files.is_group(group):
        return f"{path}/{group}: its zarr.json is gone, or damaged"
    block = Block(*group.split("/"), *wrote["block"]) if "block" in wrote else None
    for name, (size, checksum) in wrote["arrays"].items():
        try:
            there = files.there(group, name, block)
        except (OSError, StoreError, ValueError, KeyError) as error:
            return f"{path}/{group}/{name}: its description cannot be read: {error}"
        missing = 0 if block is None else files.number(group, name, block) - len(there)
        frames = (
            "" if block is None else f", T = {block.temperature:g}, replica {block.replica}, frames from {block.start}"
        )
        where = f"{path}/{group}/{name}{frames}"
        if missing:
            return f"{where}: {missing} files are gone"
        if (now := sum(there.values())) != size:
            return f"{where}: {now} bytes, {size} were written"
        if read and total(sums_of(path / group / name, there))[1] != checksum:
            return f"{where}: its bytes are not those that were written"
    return ""


class Files:
    """Files of the arrays of a store and their sizes, each folder looked into once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[Path, dict[str, int]] = {}
        self._groups: dict[str, bool] = {}
        self._arrays: dict[tuple[str, str], tuple[str, int]] = {}

    def is_group(self, group: str) -> bool:
        """Whether the description of a group can be read."""
        if group not in self._groups:
            try:
                self._groups[group] = isinstance(json.loads((self.path / group / "zarr.json").read_bytes()), dict)
            except (OSError, ValueError):
                self._groups[group] = False
        return self._groups[group]

    def there(self, group: str, name: str, block: Block | None) -> dict[str, int]:
        """Files of an array, or of a block of it, and their bytes; their names are relative to the array's folder."""
        folder = self.path / group / name
        if block is None:
            return self._below(folder)
        row, first, stop = self._place(group, name, block)
        found = self._below(folder / row)
        return {
            f"{row}/{file}": size
            for file, size in found.items()
            if (chunk := file.partition("/")[0]).isdigit() and first <= int(chunk) < stop
        }

    def number(self, group: str, name: str, block: Block) -> int:
        """Files that a block of an array is of."""
        _, first, stop = self._place(group, name, block)
        return stop - first

    def _place(self, group: str, name: str, block: Block) -> tuple[str, int, int]:
        """Folder of a row of an array, and the numbers of the chunks in it that hold a block."""
        if (group, name) not in self._arrays:
            metadata = json.loads((self.path / group / name / "zarr.json").read_text(encoding="utf-8"))
            third = metadata["dimension_names"][2], metadata["chunk_grid"]["configuration"]["chunk_shape"][2]
            self._arrays[group, name] = third
        dim, unit = self._arrays[group, name]
        T, replica = row_on_disk(self.path, block)
        timed = dim == "time"
        return f"c/{T}/{replica}", block.start // unit if timed else 0, -(-block.stop // unit) if timed else 1

    def _below(self, folder: Path) -> dict[str, int]:
        if folder not in self._rows:
            self._rows[folder] = sizes_below(folder)
        return self._rows[folder]
