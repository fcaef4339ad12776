"""Check that a store still contains what was written; erase what will be written again."""

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
from daskglass.variables import ALONG


@dataclass(frozen=True)
class Region:
    """What a task writes: variables of a block, arrays of a table, or (without names) a whole table."""

    group: str
    names: tuple[str, ...] = ()
    block: Block | None = None


def erase(path: Path, regions: Iterable[Region]) -> None:
    """Erase the results of tasks that are about to run again; readers then see missing values.

    Tasks themselves never erase: a late second copy of a task could erase what the first wrote, and then die.
    """
    files = Files(path)
    with name_aside(path) as aside:
        for region in regions:
            group = path / region.group
            if region.block is not None:
                for name in region.names:
                    for file in files.found(region.group, name, region.block):
                        (group / name / file).unlink()
                continue
            for folder in [group / name for name in region.names] if region.names else [group]:
                if folder.exists():
                    discard(folder, aside.with_name(uuid.uuid4().hex))


def wrong_files(path: Path, wrote: Mapping[str, Any], files: Files | None = None, read: bool = False) -> str:
    """Describe how a task's result differs from what was written; empty if it does not.

    Parameters
    ----------
    path : the store
    wrote : entry of the ledger
    files : existing files, listed once for many tasks
    read : read all files and compare checksums; otherwise compare only number and sizes
    """
    files = Files(path) if files is None else files
    group = wrote["group"]
    if not files.is_group(group):
        return f"{path}/{group}: zarr.json is missing or damaged"
    block = Block(*group.split("/"), *wrote["block"]) if "block" in wrote else None
    for name, (size, checksum) in wrote["arrays"].items():
        try:
            there = files.found(group, name, block)
        except (OSError, StoreError, ValueError, KeyError) as error:
            return f"{path}/{group}/{name}: zarr.json cannot be read: {error}"
        missing = 0 if block is None else files.number(group, name, block) - len(there)
        frames = (
            "" if block is None else f", T = {block.temperature:g}, replica {block.replica}, frames from {block.start}"
        )
        where = f"{path}/{group}/{name}{frames}"
        if missing:
            return f"{where}: {missing} files are missing"
        if (now := sum(there.values())) != size:
            return f"{where}: {now} bytes; {size} were written"
        if read and total(sums_of(path / group / name, there))[1] != checksum:
            return f"{where}: the data differ from what was written"
    return ""


def wrong_beside(path: Path, sizes: Mapping[str, int]) -> str:
    """Describe how files beside a store differ from what was written; empty if they do not."""
    for name, size in sizes.items():
        file = path.parent / name
        if not file.is_file():
            return f"{file}: is missing"
        if (now := file.stat().st_size) != size:
            return f"{file}: {now} bytes; {size} were written"
    return ""


class Files:
    """Files of a store's arrays and their sizes; each folder is listed once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[Path, dict[str, int]] = {}
        self._groups: dict[str, bool] = {}
        self._arrays: dict[tuple[str, str], tuple[str, int]] = {}

    def is_group(self, group: str) -> bool:
        """Whether the zarr.json of a group can be read."""
        if group not in self._groups:
            try:
                self._groups[group] = isinstance(json.loads((self.path / group / "zarr.json").read_bytes()), dict)
            except (OSError, ValueError):
                self._groups[group] = False
        return self._groups[group]

    def found(self, group: str, name: str, block: Block | None) -> dict[str, int]:
        """Bytes of the files of an array, or of one block of it, by name relative to the array's folder."""
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
        """Number of files of a block of an array."""
        _, first, stop = self._place(group, name, block)
        return stop - first

    def _place(self, group: str, name: str, block: Block) -> tuple[str, int, int]:
        """Folder of a row of an array, and the first and last + 1 chunk of a block in it."""
        if (group, name) not in self._arrays:
            metadata = json.loads((self.path / group / name / "zarr.json").read_text(encoding="utf-8"))
            third = metadata["dimension_names"][2], metadata["chunk_grid"]["configuration"]["chunk_shape"][2]
            self._arrays[group, name] = third
        dim, unit = self._arrays[group, name]
        T, replica = row_on_disk(self.path, block)
        framed = dim in ALONG
        return f"c/{T}/{replica}", block.start // unit if framed else 0, -(-block.stop // unit) if framed else 1

    def _below(self, folder: Path) -> dict[str, int]:
        if folder not in self._rows:
            self._rows[folder] = sizes_below(folder)
        return self._rows[folder]
