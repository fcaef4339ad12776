"""The Zarr store of a study: its blocks, groups replaced as a whole, and blocks in and out."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote, unquote

import numpy as np
import xarray as xr
import zarr

from daskglass.errors import StoreError
from daskglass.labels import same
from daskglass.ledger import replace_file
from daskglass.variables import described

# --- blocks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Frames `start` to `stop` of one run at one temperature and replica: a shard, a task, a unit of resuming.

    Temperature and replica are those of the coordinates: a block keeps its name when the store grows.
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

    Raises
    ------
    StoreError
        If there is no store at `path`.
    """
    path = Path(path)
    if not (path / "zarr.json").is_file():
        raise StoreError(f"{path}: no store here; `daskglass run STUDY.yaml` makes one")
    return xr.open_datatree(path, engine="zarr", chunks={}, consolidated=False)


# --- groups as a whole ---------------------------------------------------------------------------------------------


def put_group(
    path: Path, group: str, dataset: xr.Dataset, finish: Callable[[Path], None] = lambda new: None, **options: Any
) -> None:
    """Write a group aside, `finish` it there, and rename it into the place of the old one, whole."""
    zarr.open_group(path, mode="a", zarr_format=3).require_group(Path(group).parent.as_posix())
    new, old = (path.with_name(f"{path.name}.{quote(group, safe='')}.{age}") for age in ("new", "old"))
    shutil.rmtree(new, ignore_errors=True)
    dataset.to_zarr(new, mode="w", consolidated=False, **options)
    finish(new)
    if (path / group).exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path / group, old)
    os.replace(new, path / group)
    shutil.rmtree(old, ignore_errors=True)


def recover(path: Path) -> None:
    """Mend what a crash left in the middle of replacing a group: bring the old one back where there is no new one."""
    left_over = re.compile(re.escape(path.name) + r"\.([^/%]+%2F[^/%]+)\.(old|new)")
    for folder in sorted(path.parent.glob("*%2F*")):
        if (found := left_over.fullmatch(folder.name)) is None:
            continue
        group = path / unquote(found[1])
        if found[2] == "new" or group.exists():
            shutil.rmtree(folder)
        else:
            os.replace(folder, group)


# --- blocks in and out ---------------------------------------------------------------------------------------------


def read_block(path: Path, block: Block, names: Iterable[str], halo: int = 0) -> xr.Dataset:
    """Read variables of one block into memory, and its box; with `halo` more frames at both ends where there are some."""
    # array by array: xarray would open all of a group's, which takes longer than many a task
    coordinates = _coordinates(path, block.group, _written(path, block.group))
    T, replica = _row(coordinates, block)
    where: dict[str, int | slice] = {
        "temperature": T,
        "replica": replica,
        "time": slice(max(0, block.start - halo), block.stop + halo),
    }
    run = coordinates.isel(where, missing_dims="ignore")
    for name in (*names, *({"box", "time"} - set(run.coords))):
        array = _array(path, f"{block.group}/{name}", "r")
        dims = cast("tuple[str, ...]", array.metadata.dimension_names)  # type: ignore[union-attr]
        data = np.asarray(array[tuple(where.get(dim, slice(None)) for dim in dims)])
        run[name] = ([dim for dim in dims if dim not in ("temperature", "replica")], data)
    return run.set_coords(["box", "time"])


def write_block(path: Path, block: Block, values: Mapping[str, np.ndarray]) -> None:
    """Write variables of one block, which must be whole chunks of theirs.

    Raises
    ------
    StoreError
        If the block does not end where the chunks (or shards) do.
    """
    row = _row_on_disk(path, block)
    for name, data in values.items():
        array = _array(path, f"{block.group}/{name}")
        _assert_aligned(array, block, name)
        array[(*row, slice(block.start, block.stop))] = data


def erase_block(path: Path, block: Block, names: Iterable[str]) -> None:
    """Take back what a block holds of variables: a reader then sees it as not there."""
    row = _row_on_disk(path, block)
    for name in names:
        array = _array(path, f"{block.group}/{name}")
        unit = (array.shards or array.chunks)[2]
        chunks = ((*row, k, *(0,) * (array.ndim - 3)) for k in range(block.start // unit, -(-block.stop // unit)))
        # most often there is nothing: to look is faster than to write
        if any((path / block.group / name / array.metadata.encode_chunk_key(chunk)).exists() for chunk in chunks):
            array[(*row, slice(block.start, block.stop))] = array.fill_value


def write_row(path: Path, row: Block, name: str, data: np.ndarray) -> None:
    """Write the value of a derived table at the temperature and replica of a row."""
    _array(path, f"{row.group}/{name}")[_row_on_disk(path, row)] = data


def _row_on_disk(path: Path, block: Block) -> tuple[int, int]:
    return _row(_coordinates(path, block.group, _written(path, block.group)), block)


def _written(path: Path, group: str) -> int:
    """When a group was put in its place; blocks are written since, and coordinates of each run alone."""
    return (path / group / "zarr.json").stat().st_mtime_ns


@functools.lru_cache(maxsize=64)
def _coordinates(path: Path, group: str, written: int) -> xr.Dataset:
    """Coordinates that all runs of a group share, there since it was `written`."""
    run = open_group(path, group)
    names = ("temperature", "replica", "time", "species", "xyz")
    return run.coords.to_dataset()[[name for name in names if name in run.coords and run[name].ndim == 1]].load()


@functools.lru_cache(maxsize=64)
def _table(path: Path, group: str, written: int) -> xr.Dataset:
    return open_group(path, group).load()


def _row(coordinates: xr.Dataset, block: Block) -> tuple[int, int]:
    """Where a block's temperature and replica stand in the arrays of its run."""
    T = np.flatnonzero(same(coordinates["temperature"], block.temperature))
    replica = np.flatnonzero(coordinates["replica"] == block.replica)
    if not (T.size == 1 and replica.size == 1):
        raise StoreError(f"{block.group} has no T = {block.temperature:g}, replica {block.replica}")
    return int(T[0]), int(replica[0])


def write_table(path: Path, group: str, table: xr.Dataset) -> None:
    """Write a small group whole, in place of what stood there."""
    table = strings_of_any_length(described(table))
    for variable in table.variables.values():
        variable.encoding = {}
    put_group(path, group, table)


def open_arrays(path: Path, group: str) -> Mapping[str, zarr.Array]:
    """Open one group as Zarr arrays by their names: faster than with xarray's coordinates by ten milliseconds."""
    opened = zarr.open_group(path, path=group, mode="r", zarr_format=3, use_consolidated=False)
    return cast("Mapping[str, zarr.Array]", opened)


def open_group(path: Path, group: str) -> xr.Dataset:
    """Open one group: arrays are read when they are used, without Dask."""
    return xr.open_zarr(path, group=group, consolidated=False, chunks=None)


def read_table(path: Path, group: str) -> xr.Dataset:
    """Read a small group into memory; once, as long as it is not replaced."""
    return _table(path, group, _written(path, group)).copy()


def strings_of_any_length(dataset: xr.Dataset) -> xr.Dataset:
    """Coordinates of names as Zarr's `string`; strings of fixed length have no specification."""
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


def consolidate(path: Path) -> None:
    """Gather all metadata in one file, so that plain xarray opens the store fast and without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(path)


def drop_consolidated(path: Path) -> None:
    """Forget gathered metadata before anything is added to a store."""
    file = path / "zarr.json"
    metadata = json.loads(file.read_text())
    if metadata.pop("consolidated_metadata", None) is not None:
        replace_file(file, json.dumps(metadata))


def quantize(values: np.ndarray, precision: float | None) -> np.ndarray:
    """Round to a multiple of the largest power of two not above 2 × precision, so that the error stays below it."""
    if precision is None:
        return values
    step = 2.0 ** np.floor(np.log2(2 * precision))
    return (np.rint(values / step) * step).astype(values.dtype)
