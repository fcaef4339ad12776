"""How a task writes into a store: files are written aside, renamed into place, and recorded with size and checksum."""

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
    """A task that is writing.

    Attributes
    ----------
    aside : folder for its files before they are renamed
    group : where it wrote
    block : in a run: temperature, replica, first frame, and last frame + 1
    arrays : size and checksum of what it wrote, by array
    """

    aside: Path
    group: str = ""
    block: tuple[float, int, int, int] | None = None
    arrays: dict[str, tuple[int, int]] = field(default_factory=dict)

    def receipt(self) -> dict[str, Any]:
        """Entry for the ledger, which `wrong_files` compares with the files."""
        if not self.arrays:
            return {}
        place = {} if self.block is None else {"block": self.block}
        return {"wrote": {"group": self.group, **place, "arrays": self.arrays}}


_writing: ContextVar[Writing | None] = ContextVar("writing", default=None)


def at_work() -> Writing | None:
    """Task that is writing in this thread, if any."""
    return _writing.get()


@contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """Create the folder in which all tasks of a run write aside; remove those of earlier runs.

    Every file reaches the store by a rename out of this folder. A task of an earlier run that still works, on a worker that
    was believed dead, finds its folder gone and cannot change the store.
    """
    forget_aside(path)
    aside = _new_folder(path)
    aside.mkdir(parents=True)
    try:
        yield aside
    finally:
        # another run may have removed it
        with suppress(FileNotFoundError):
            discard(aside, _new_folder(path))


@contextmanager
def writing(aside: Path) -> Iterator[Writing]:
    """Route writes of this thread through a folder of `folder_aside`, and record them."""
    now = Writing(aside)
    token = _writing.set(now)
    try:
        yield now
    finally:
        _writing.reset(token)


@contextmanager
def name_aside(path: Path) -> Iterator[Path]:
    """Yield a new path: in the folder of the running task, or in a new folder outside of tasks."""
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
    """Remove the folders in which earlier runs wrote aside."""
    start = _new_folder(path).name.rpartition(".")[0]
    folder = path.resolve().parent
    for left in [entry for entry in folder.iterdir() if entry.name.startswith(f"{start}.")] if folder.is_dir() else []:
        discard(left, _new_folder(path))


def discard(folder: Path, gone: Path) -> None:
    """Rename a folder, then remove it, so that nobody finds half of it."""
    os.replace(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def fence(path: Path, aside: Path) -> Iterator[None]:
    """Raise an error if another run removed the folder of `folder_aside`."""
    try:
        yield
    except FileNotFoundError as error:
        if aside.exists():
            raise
        raise StoreError("another run took over this store; this task's results are discarded", file=path) from error


class FreshStore(LocalStore):
    """Zarr's local store for a folder that nobody else writes to; Zarr's own needs hard links."""

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file unless it exists."""
        if not await self.exists(key):
            await self.set(key, value)


class AsideStore(LocalStore):
    """Zarr's local store; files are written aside until `publish` syncs and renames them into place."""

    def __init__(self, root: Path, aside: Path) -> None:
        super().__init__(root)
        self._aside, self._files = aside, dict[str, Path]()
        self.sums: dict[str, tuple[int, int]] = {}

    async def set(self, key: str, value: Buffer) -> None:
        """Write a chunk aside."""
        data = value.to_bytes()
        file = self._aside / uuid.uuid4().hex
        with fence(Path(self.root), self._aside):
            file.write_bytes(data)
        self._files[key], self.sums[key] = file, (len(data), zlib.crc32(data))

    def publish(self) -> None:
        """Rename all files into place."""
        with fence(Path(self.root), self._aside):
            publish([(file, Path(self.root) / key) for key, file in self._files.items()], Path(self.root))


def total(sums: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Total bytes of files, and one checksum for all of them."""
    size, checksum = 0, 0
    for number, of_file in sums:
        size, checksum = size + number, zlib.crc32(of_file.to_bytes(4, "big"), checksum)
    return size, checksum


def sums_of(folder: Path, files: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Bytes and checksum of each file."""
    for file in files:
        data = (folder / file).read_bytes()
        yield len(data), zlib.crc32(data)


def sizes_below(folder: Path) -> dict[str, int]:
    """Bytes of all files below a folder, by relative name, in order."""
    files = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return dict(sorted((str(file.relative_to(folder)), file.stat().st_size) for file in files))
