"""The Zarr store of a study: its blocks and groups, written so that complete results are never lost."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote, unquote

import numpy as np
import xarray as xr
import zarr

from daskglass.errors import StoreError
from daskglass.physics.labels import same
from daskglass.store.aside import (
    AsideStore,
    FreshStore,
    at_work,
    fence,
    forget_aside,
    name_aside,
    sizes_below,
    sums_of,
    total,
)
from daskglass.store.durable import replace_file, replace_folder, restore, sync, sync_tree
from daskglass.store.spare import spare_dask_arrays
from daskglass.study.paths import check_no_file
from daskglass.variables import ALONG, described

spare_dask_arrays()

# --- blocks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Frames `start` to `stop` of one run at one temperature and replica: one shard, one task.

    Temperature and replica are values, not positions, so a block keeps its name when the store grows.
    """

    system: str
    run: str
    temperature: float
    replica: int
    start: int
    stop: int

    @property
    def group(self) -> str:
        """Path of the run's group in the store."""
        return f"{self.system}/{self.run}"

    @property
    def key(self) -> str:
        """Name of the block in keys of tasks and of the ledger."""
        return f"{self.system}/{self.run}/T{self.temperature}/r{self.replica}/{self.start}"


# --- reading -------------------------------------------------------------------------------------------------------


def open_store(path: str | os.PathLike[str]) -> xr.DataTree:
    """Open a store lazily: a tree of a group per system, and a group per run under it.

    Parameters
    ----------
    path : str or os.PathLike
        Folder of the store.

    Returns
    -------
    xarray.DataTree
        Groups `SYSTEM/RUN`, such as `ka_0.0/production`, whose variables are Dask arrays, in the order of their names.

    Raises
    ------
    StoreError
        If there is no store at `path`, or it cannot be read.

    Examples
    --------
    >>> hop = xr.DataArray(np.zeros((2, 3)), dims=("temperature", "particle"), name="hop")
    >>> run = hop.assign_coords(temperature=[0.6, 0.5]).to_dataset()
    >>> tree = xr.DataTree.from_dict({"ka_0.0/production": run})
    >>> _ = tree.to_zarr("example.zarr", zarr_format=3, consolidated=False)
    >>> tree = dg.open_store("example.zarr")
    >>> run = tree["ka_0.0/production"].dataset
    >>> run.hop.sel(temperature=0.47, method="nearest").sizes["particle"]
    3
    """
    return open_tree(Path(path), {})


def open_tree(path: Path, chunks: dict[str, int] | None = None, run: str | None = None) -> xr.DataTree:
    """`open_store`, without Dask by default: arrays are read when used. Of other runs than a given one only the names."""
    check_is_store(path)
    with readable(path):
        if run is not None:
            groups = [file.parent.relative_to(path) for file in path.glob("*/*/zarr.json")]
            opened = {str(each): open_group(path, str(each)) if each.name == run else xr.Dataset() for each in groups}
        else:
            opened = xr.open_datatree(path, engine="zarr", chunks=chunks, consolidated=False).to_dict()
    # folders list their contents in any order
    return xr.DataTree.from_dict({group: _alphabetical(each) for group, each in sorted(opened.items())})


def _alphabetical(dataset: xr.Dataset) -> xr.Dataset:
    return xr.Dataset(dict(sorted(dataset.data_vars.items())), dict(sorted(dataset.coords.items())), dataset.attrs)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what a damaged zarr.json raises into an error that says so."""
    try:
        yield
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # zarr raises any of them
        raise StoreError(
            f"the store cannot be read: a zarr.json is damaged ({type(error).__name__}: {error})",
            file=path,
            remedy="restore a copy, or delete the store and its ledger to start over",
        ) from error


def check_is_store(path: Path) -> None:
    """Refuse a path where there is no store.

    Raises
    ------
    StoreError
        If there is none.
    """
    check_no_file(path)
    if not (path / "zarr.json").is_file():
        raise StoreError("no store here", file=path, remedy="create one with `daskglass run STUDY.yaml`")


# --- groups ---------------------------------------------------------------------------------------------------------


def put_group(
    path: Path, group: str, dataset: xr.Dataset, finish: Callable[[Path], None] = lambda new: None, **options: Any
) -> None:
    """Write a group aside, `finish` it there, and replace the old one by it."""
    make_group(path)
    make_group(path / Path(group).parent)
    with name_aside(path) as new:
        dataset.to_zarr(FreshStore(new), mode="w", consolidated=False, **options)
        finish(new)
        sync_tree(new)
        replace_folder(new, path / group, _old(path, group))


def restore_group(path: Path, group: str) -> None:
    """Restore a group that a crash left half replaced."""
    restore(path / group, _old(path, group))


def make_group(folder: Path) -> None:
    """Create a Zarr group if it is missing."""
    if not (folder / "zarr.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "zarr.json", json.dumps({"attributes": {}, "zarr_format": 3, "node_type": "group"}))
        sync(folder.parent)


def recover(path: Path) -> None:
    """Clean up after a crash: restore groups that were being replaced, and remove files written aside."""
    forget_aside(path)
    for folder in sorted(path.parent.iterdir()) if path.parent.is_dir() else []:
        name, _, age = folder.name.removeprefix(f"{path.name}.").rpartition(".")
        group = unquote(name)
        if folder.name != f"{path.name}.{quote(group, safe='')}.{age}" or "/" not in group:
            continue
        if age == "old":
            restore(path / group, folder)
        elif age == "new":
            shutil.rmtree(folder)


def _old(path: Path, group: str) -> Path:
    return path.with_name(f"{path.name}.{quote(group, safe='')}.old")


# --- blocks in and out ---------------------------------------------------------------------------------------------


def read_block(path: Path, block: Block, names: Iterable[str], halo: int = 0, every: int = 1) -> xr.Dataset:
    """Read variables, box and times of one block, with up to `halo` more frames at both ends; one frame in `every`."""
    # array by array: xarray would open all arrays of the group, which takes longer than many tasks
    coordinates = _coordinates(path, block.group, _written(path, block.group))
    T, replica = _row(coordinates, block)
    frames = slice(max(0, block.start - halo), block.stop + halo, every)
    where: dict[str, int | slice] = {"temperature": T, "replica": replica, **dict.fromkeys(ALONG, frames)}
    run = coordinates.isel(where, missing_dims="ignore")
    own = {"box"} if "configuration" in run.coords else {"box", "time"}
    for name in (*names, *(own - set(run.coords))):
        array = _array(path, f"{block.group}/{name}", "r")
        dims = cast("tuple[str, ...]", array.metadata.dimension_names)  # type: ignore[union-attr]
        try:
            data = np.asarray(array[tuple(where.get(dim, slice(None)) for dim in dims)])
        except (RuntimeError, ValueError) as error:
            raise StoreError(
                f"{name} cannot be read: {error}",
                file=path / block.key,
                remedy=f"find all damage with `daskglass check {path}`, then rerun to rewrite it",
            ) from error
        run[name] = ([dim for dim in dims if dim not in ("temperature", "replica")], data)
    return run.set_coords(list(own))


def write_block(path: Path, block: Block, values: Mapping[str, np.ndarray]) -> None:
    """Write variables of one block, which must be whole chunks; each chunk appears on disk in one step.

    Chunks with only NaN are written too: a missing chunk was not written, or was lost.

    Raises
    ------
    StoreError
        If the block does not end at a chunk (or shard) boundary, or another run took over the store.
    """
    row = row_on_disk(path, block)
    for name in values:
        _assert_aligned(_array(path, f"{block.group}/{name}"), block, name)
    _write(path, block, {name: ((*row, slice(block.start, block.stop)), data) for name, data in values.items()})


def write_rows(path: Path, row: Block, values: Mapping[str, np.ndarray]) -> None:
    """Write values of derived tables at the temperature and replica of a row."""
    place = row_on_disk(path, row)
    _write(path, row, {name: (place, data) for name, data in values.items()})


def _write(path: Path, block: Block, values: Mapping[str, tuple[tuple[Any, ...], np.ndarray]]) -> None:
    with name_aside(path) as aside:
        put = AsideStore(path, aside.parent)
        for name, (place, data) in values.items():
            array = zarr.open_array(put, path=f"{block.group}/{name}", mode="r+", zarr_format=3)
            array.with_config({"write_empty_chunks": True})[place] = data
        put.publish()
        if (now := at_work()) is not None:
            now.group, now.block = block.group, (block.temperature, block.replica, block.start, block.stop)
            for name in values:
                files = sorted(key for key in put.sums if key.startswith(f"{block.group}/{name}/"))
                now.arrays[name] = total(put.sums[key] for key in files)


# --- rows and tables ------------------------------------------------------------------------------------------------


def row_on_disk(path: Path, block: Block) -> tuple[int, int]:
    """Index of a block's temperature and replica in the arrays of its run."""
    return _row(_coordinates(path, block.group, _written(path, block.group)), block)


def frames_in(path: Path, group: str, duration: float) -> int:
    """Number of frames of a run in a time, τ."""
    time = _coordinates(path, group, _written(path, group))["time"].values
    return round(duration / float(time[1] - time[0]))


def rows_of(path: Path, system: str, run: str, temperature: float) -> list[Block]:
    """One block per replica of a run at one temperature, over all its frames."""
    coordinates = _coordinates(path, f"{system}/{run}", _written(path, f"{system}/{run}"))
    frames = next(coordinates.sizes[dim] for dim in ALONG if dim in coordinates.sizes)
    return [Block(system, run, temperature, replica, 0, frames) for replica in coordinates["replica"].values.tolist()]


def _written(path: Path, group: str) -> int:
    """When a group was last replaced: its shared coordinates are unchanged since then."""
    return (path / group / "zarr.json").stat().st_mtime_ns


@functools.lru_cache(maxsize=64)
def _coordinates(path: Path, group: str, written: int) -> xr.Dataset:
    """Coordinates shared by all rows of a group, cached until it is replaced."""
    run = open_group(path, group)
    names = ("temperature", "replica", *ALONG, "species", "xyz")
    return run.coords.to_dataset()[[name for name in names if name in run.coords and run[name].ndim == 1]].load()


@functools.lru_cache(maxsize=64)
def _table(path: Path, group: str, written: int) -> xr.Dataset:
    return open_group(path, group).load()


def _row(coordinates: xr.Dataset, block: Block) -> tuple[int, int]:
    """Index of a block's temperature and replica along the coordinates."""
    T = np.flatnonzero(same(coordinates["temperature"], block.temperature))
    replica = np.flatnonzero(coordinates["replica"] == block.replica)
    if not (T.size == 1 and replica.size == 1):
        raise StoreError(f"{block.group} has no T = {block.temperature:g}, replica {block.replica}")
    return int(T[0]), int(replica[0])


def write_table(path: Path, group: str, table: xr.Dataset) -> None:
    """Write a small group in one step, unless it exists: then another copy of the task wrote the same.

    To replace a table, erase it first.
    """
    make_group(path)
    make_group((path / group).parent)
    _put_new(path, group, _plain(table), whole=True)
    _note_table(path, group, table)


def add_to_table(path: Path, group: str, table: xr.Dataset) -> None:
    """Add missing arrays to a small group, each in one step; see `write_table`."""
    _put_new(path, group, _plain(table), whole=False)
    _note_table(path, group, table)


def add_arrays(path: Path, group: str, dataset: xr.Dataset, **options: Any) -> None:
    """Add missing arrays to a group, each in one step; `options` go to `Dataset.to_zarr`."""
    _put_new(path, group, dataset, whole=False, **options)


def _put_new(path: Path, group: str, dataset: xr.Dataset, whole: bool, **options: Any) -> None:
    place = path / group
    with name_aside(path) as new, fence(path, new.parent):
        if not new.parent.exists():
            # Zarr would create it
            raise FileNotFoundError(new.parent)
        dataset.to_zarr(FreshStore(new), mode="w", consolidated=False, **options)
        sync_tree(new)
        for folder, name in (
            [(new, place)] if whole else [(new / str(each), place / str(each)) for each in dataset.variables]
        ):
            if name.exists():
                continue
            try:
                os.replace(folder, name)
            except OSError:
                # another copy of the task may have been first
                if not name.exists():
                    raise
        sync(place.parent if whole else place)


def _plain(table: xr.Dataset) -> xr.Dataset:
    table = strings_of_any_length(described(table, coordinates=True))
    for variable in table.variables.values():
        variable.encoding = {}
    return table


def _note_table(path: Path, group: str, table: xr.Dataset) -> None:
    if (now := at_work()) is not None:
        now.group = group
        for name in map(str, table.variables):
            folder = path / group / name
            now.arrays[name] = total(sums_of(folder, sizes_below(folder)))


def open_arrays(path: Path, group: str) -> Mapping[str, zarr.Array]:
    """Open one group as Zarr arrays by name: ten milliseconds faster than with xarray's coordinates."""
    opened = zarr.open_group(path, path=group, mode="r", zarr_format=3, use_consolidated=False)
    return cast("Mapping[str, zarr.Array]", opened)


def open_group(path: Path, group: str) -> xr.Dataset:
    """Open one group without Dask; arrays are read when used."""
    return xr.open_zarr(path, group=group, consolidated=False, chunks=None)


def read_table(path: Path, group: str) -> xr.Dataset:
    """Read a small group into memory, once until it is replaced."""
    return _table(path, group, _written(path, group)).copy()


def strings_of_any_length(dataset: xr.Dataset) -> xr.Dataset:
    """Store coordinates of names as Zarr's `string`; fixed-length strings are not specified."""
    return dataset.assign_coords(
        {name: coord.astype(object) for name, coord in dataset.coords.items() if coord.dtype.kind in "UT"}
    )


def _array(path: Path, name: str, mode: Literal["r", "r+"] = "r+") -> zarr.Array:
    return zarr.open_array(path, path=name, mode=mode, zarr_format=3)


def _assert_aligned(array: zarr.Array, block: Block, name: str) -> None:
    unit = (array.shards or array.chunks)[2]
    frames = array.shape[2]
    if block.start % unit or not (block.stop % unit == 0 or block.stop == frames):
        raise StoreError(f"{name}: block {block.key} to {block.stop} does not cover whole chunks of {unit} frames")


def quantize(values: np.ndarray, precision: float | None) -> np.ndarray:
    """Round to a multiple of the largest power of two not above 2 × precision, so that the error stays below it."""
    if precision is None:
        return values
    step = 2.0 ** np.floor(np.log2(2 * precision))
    return (np.rint(values / step) * step).astype(values.dtype)
