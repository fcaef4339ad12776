"""How a task writes into a store: files put aside, renamed to their place, and noted with their size and checksum."""

from __future__ import annotations

import os
import shutil
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from daskglass.errors import StoreError
from daskglass.store.durable import publish


@dataclass
class Writing:
    """A task that writes.

    Attributes
    ----------
    aside : folder in which it puts files aside
    group, block : where it wrote: a group, and of a run temperature, replica, first frame and the one after the last
    arrays : size and checksum of what it wrote of each
    """

    aside: Path
    group: str = ""
    block: tuple[float, int, int, int] | None = None
    arrays: dict[str, tuple[int, int]] = field(default_factory=dict)

    def receipt(self) -> dict[str, Any]:
        """What the ledger keeps, for `wrong_files` to compare with what is there later."""
        if not self.arrays:
            return {}
        place = {} if self.block is None else {"block": self.block}
        return {"wrote": {"group": self.group, **place, "arrays": self.arrays}}


_writing: ContextVar[Writing | None] = ContextVar("writing", default=None)


def at_work() -> Writing | None:
    """Return the task that writes in this thread, if one does."""
    return _writing.get()


@contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """Make the folder in which all tasks of one run put files aside; take away those of earlier runs.

    Every file comes into the store by a rename out of this folder. A task of an earlier run that still works somewhere, on
    a worker that was thought dead, finds its folder gone: it cannot change the store any more.
    """
    forget_aside(path)
    aside = _new_folder(path)
    aside.mkdir(parents=True)
    try:
        yield aside
    finally:
        # another run may have taken it
        with suppress(FileNotFoundError):
            discard(aside, _new_folder(path))


@contextmanager
def writing(aside: Path) -> Iterator[Writing]:
    """Let what is written meanwhile, in this thread, go through a folder of `folder_aside`, and note what it was."""
    now = Writing(aside)
    token = _writing.set(now)
    try:
        yield now
    finally:
        _writing.reset(token)


@contextmanager
def name_aside(path: Path) -> Iterator[Path]:
    """Name in the folder of the task at work; outside of one, in a folder of its own."""
    if (now := _writing.get()) is not None:
        yield now.aside / uuid.uuid4().hex
        return
    folder = _new_folder(path)
    folder.mkdir(parents=True)
    try:
        yield folder / "new"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder(path: Path) -> Path:
    path = path.resolve()
    return path.with_name(f"{path.name}.writing.{uuid.uuid4().hex}")


def forget_aside(path: Path) -> None:
    """Take away the folders in which earlier runs put files aside."""
    start = _new_folder(path).name.rpartition(".")[0]
    folder = path.resolve().parent
    for left in [entry for entry in folder.iterdir() if entry.name.startswith(f"{start}.")] if folder.is_dir() else []:
        discard(left, _new_folder(path))


def discard(folder: Path, gone: Path) -> None:
    """Remove a folder; under another name first, so that nobody finds half of it."""
    os.replace(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def fence(path: Path, aside: Path) -> Iterator[None]:
    """Report a folder of `folder_aside` that was removed meanwhile."""
    try:
        yield
    except FileNotFoundError as error:
        if aside.exists():
            raise
        raise StoreError(f"{path}: another run took this store over: what this one computed is not kept") from error


class FreshStore(LocalStore):
    """Zarr's store of local files in a folder that nobody else writes to; Zarr's own needs hard links to be sure of that."""

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file that is not there."""
        if not await self.exists(key):
            await self.set(key, value)


class AsideStore(LocalStore):
    """Zarr's store of local files; what is set is put aside until `publish` syncs it and renames it to its place."""

    def __init__(self, root: Path, aside: Path) -> None:
        super().__init__(root)
        self._aside, self._files = aside, dict[str, Path]()
        self.sums: dict[str, tuple[int, int]] = {}

    async def set(self, key: str, value: Buffer) -> None:
        """Put a chunk aside."""
        data = value.to_bytes()
        file = self._aside / uuid.uuid4().hex
        with fence(Path(self.root), self._aside):
            file.write_bytes(data)
        self._files[key], self.sums[key] = file, (len(data), zlib.crc32(data))

    def publish(self) -> None:
        """Bring all that was set to its place."""
        with fence(Path(self.root), self._aside):
            publish([(file, Path(self.root) / key) for key, file in self._files.items()], Path(self.root))


def total(sums: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Bytes of files, and one checksum of theirs."""
    size, checksum = 0, 0
    for number, of_file in sums:
        size, checksum = size + number, zlib.crc32(of_file.to_bytes(4, "big"), checksum)
    return size, checksum


def sums_of(folder: Path, files: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield bytes and checksum of each file."""
    for file in files:
        data = (folder / file).read_bytes()
        yield len(data), zlib.crc32(data)


def sizes_below(folder: Path) -> dict[str, int]:
    """Files below a folder, by their names relative to it, in order, and their bytes."""
    files = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return dict(sorted((str(file.relative_to(folder)), file.stat().st_size) for file in files))
