"""The Zarr store of a study: its blocks, the template it is laid out from, reading, writing and queries."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import dask.array as da
import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, TransposeCodec

from daskglass.errors import StoreError
from daskglass.ledger import replace_file
from daskglass.variables import Variable, described

CHUNK_BYTES = 6_300_000  # of positions; 16 frames of 32,768 particles
CHUNK_FRAMES = 16
SHARD_BYTES = 64_000_000
MANY_FILES = 100_000


# --- blocks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Frames `start` to `stop` of one run at one temperature and replica: a shard, a task, a unit of resuming."""

    system: str
    run: str
    temperature: int
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
        return f"{self.system}/{self.run}/{self.temperature}/{self.replica}/{self.start}"


def frames_per_chunk(particles: int) -> int:
    """Frames of one chunk: all particles of at most 16 frames, at most 6.3 MB of positions."""
    return max(1, min(CHUNK_FRAMES, CHUNK_BYTES // (12 * particles)))


def frames_per_block(particles: int, blocks: int) -> int:
    """Frames of one block: a chunk, or a shard of 64 MB where chunks alone would be too many files."""
    chunk = frames_per_chunk(particles)
    if blocks <= MANY_FILES:
        return chunk
    return chunk * max(1, SHARD_BYTES // (12 * particles * chunk))


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


def query(
    store: str | os.PathLike[str] | xr.DataTree,
    system: str | Sequence[str] | None = None,
    run: str = "production",
    variables: Sequence[str] | None = None,
    **selection: Any,
) -> xr.Dataset:
    """Return one Dataset with a `system` dimension, of the same run of several systems.

    Parameters
    ----------
    store : path, or tree from `open_store`
    system : name or names; all by default
    run : group under the system, such as `production`, `training` or `ensemble`
    variables : names; all by default
    selection : labels along dimensions: a number selects the nearest, a slice or list selects exactly

    Returns
    -------
    Lazy Dataset; coordinates that differ between systems are joined, NaN where a system lacks one.

    Raises
    ------
    StoreError
        If a system, run or variable does not exist; the message lists those that do.
    """
    tree = store if isinstance(store, xr.DataTree) else open_store(store)
    wanted = [system] if isinstance(system, str) else list(system or tree.children)
    found = []
    for name in wanted:
        if name not in tree.children:
            raise StoreError(f"no system {name!r} in the store; there are {sorted(tree.children)}")
        if run not in tree[name].children:
            raise StoreError(f"no run {run!r} in {name}; there are {sorted(tree[name].children)}")
        dataset = tree[name][run].to_dataset()
        if variables is not None:
            missing = sorted(set(variables) - set(dataset.variables))
            if missing:
                raise StoreError(
                    f"no variable {missing[0]!r} in {name}/{run}; there are {sorted(map(str, dataset.data_vars))}"
                )
            dataset = dataset[list(variables)]
        found.append(_select(dataset, selection, f"{name}/{run}"))
    return xr.concat(
        found, xr.DataArray(wanted, dims="system", name="system"), join="outer", combine_attrs="drop_conflicts"
    )


def _select(dataset: xr.Dataset, selection: Mapping[str, Any], where: str) -> xr.Dataset:
    for dim, value in selection.items():
        if dim not in dataset.dims:
            raise StoreError(f"no dimension {dim!r} in {where}; there are {sorted(map(str, dataset.dims))}")
        if isinstance(value, slice) and dim == "temperature":
            # temperatures run from high to low; a range means the same in either order
            low, high = sorted(v for v in (value.start or -np.inf, value.stop or np.inf))
            value = [T for T in dataset["temperature"].values if low <= T <= high]
        nearest = np.isscalar(value) and np.issubdtype(dataset[dim].dtype, np.floating)
        try:
            dataset = dataset.sel({dim: value}, method="nearest" if nearest else None)
        except KeyError:
            raise StoreError(f"nothing at {dim}={value!r} in {where}; there are {dataset[dim].values}") from None
        if dataset.sizes.get(dim) == 0:
            raise StoreError(f"nothing at {dim}={selection[dim]!r} in {where}")
    return dataset


# --- laying out ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Shape of one run: coordinates, variables, and how its frames are divided."""

    system: str
    run: str
    coordinates: Mapping[str, xr.DataArray]
    variables: Sequence[Variable]
    sizes: Mapping[str, int]
    chunk: int
    block: int

    def blocks(self) -> list[Block]:
        """Every block of the run, in order."""
        frames = self.sizes["time"]
        return [
            Block(self.system, self.run, T, replica, start, min(start + self.block, frames))
            for T in range(self.sizes["temperature"])
            for replica in range(self.sizes["replica"])
            for start in range(0, frames, self.block)
        ]

    def nbytes(self) -> dict[str, int]:
        """Uncompressed bytes of each variable."""
        return {
            variable.name: int(np.prod([self.sizes[dim] for dim in variable.dims])) * np.dtype(variable.dtype).itemsize
            for variable in self.variables
        }


def lay_out(path: Path, layout: Layout, attrs: Mapping[str, Any]) -> None:
    """Write the metadata and coordinates of a run, and no data; a run that stands already must be the same.

    A new run is written aside and renamed into place; to one that stands, variables it lacks are added.

    Raises
    ------
    StoreError
        If the run exists with other sizes or coordinates.
    """
    group = f"{layout.system}/{layout.run}"
    dataset = _strings_of_any_length(xr.Dataset(coords=dict(layout.coordinates), attrs=dict(attrs)))
    encoding: dict[str, dict[str, Any]] = {}
    for variable in layout.variables:
        shape = tuple(layout.sizes[dim] for dim in variable.dims)
        chunks, shards = _chunking(layout, variable)
        dataset[variable.name] = xr.Variable(
            variable.dims,
            da.full(shape, variable.fill_value, dtype=variable.dtype, chunks=shards or chunks),
            variable.attrs,
        )
        encoding[variable.name] = {
            "chunks": chunks,
            "shards": shards,
            "compressors": BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
            "filters": _filters(variable),
            "fill_value": variable.fill_value,
        }
    if not (path / group).exists():
        _put(path, group, dataset, compute=False, encoding=encoding)
        zarr.open_group(path, path=layout.system, mode="r+").attrs.update(dict(attrs))
        return
    _check_same(path, group, dataset)
    for described_group in (layout.system, group):
        zarr.open_group(path, path=described_group, mode="r+").attrs.update(dict(attrs))
    missing = [name for name in encoding if not (path / group / name / "zarr.json").is_file()]
    if missing:
        added = dataset[missing].reset_coords(drop=True).drop_vars(dataset.indexes, errors="ignore")
        encoding = {name: encoding[name] for name in missing}
        added.to_zarr(path, group=group, mode="a", compute=False, encoding=encoding, consolidated=False)


def _put(path: Path, group: str, dataset: xr.Dataset, **options: Any) -> None:
    """Write a group aside and rename it into place of what stood there: a reader sees the old or the new one."""
    zarr.open_group(path, mode="a", zarr_format=3).require_group(Path(group).parent.as_posix())
    new, old = (path.with_name(f"{path.name}.{quote(group, safe='')}.{age}") for age in ("new", "old"))
    shutil.rmtree(new, ignore_errors=True)
    dataset.to_zarr(new, mode="w", consolidated=False, **options)
    if (path / group).exists():
        os.replace(path / group, old)
    os.replace(new, path / group)
    shutil.rmtree(old, ignore_errors=True)


def recover(path: Path) -> None:
    """Mend what a crash left in the middle of replacing a group: bring the old one back where there is no new one."""
    for old in path.parent.glob(f"{path.name}.*.old"):
        group = path / unquote(old.name.removeprefix(f"{path.name}.").removesuffix(".old"))
        if group.exists():
            shutil.rmtree(old)
        else:
            os.replace(old, group)
    for new in path.parent.glob(f"{path.name}.*.new"):
        shutil.rmtree(new)


def _chunking(layout: Layout, variable: Variable) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    def along_time(frames: int) -> tuple[int, ...]:
        each = {"temperature": 1, "replica": 1, "time": min(frames, layout.sizes["time"])}
        return tuple(each.get(dim, layout.sizes[dim]) for dim in variable.dims)

    chunks = along_time(layout.chunk)
    return chunks, along_time(layout.block) if layout.block > layout.chunk and "time" in variable.dims else None


def _filters(variable: Variable) -> list[TransposeCodec]:
    """Let time vary fastest in positions: the same coordinate of successive frames compresses better."""
    if variable.dims[-3:] != ("time", "particle", "xyz"):
        return []
    order = list(range(len(variable.dims)))
    return [TransposeCodec(order=(*order[:-3], order[-2], order[-1], order[-3]))]


def _check_same(path: Path, group: str, template: xr.Dataset) -> None:
    present = open_group(path, group)
    remedy = f"give the study another store, or delete {path} and {path.name}.ledger to start over"
    for name, wanted in template.coords.items():
        if name not in present.coords or (name == "time" and wanted.ndim > 1):
            continue
        have = present[name]
        if not _equal(have.values, wanted.values):
            raise StoreError(
                f"{path}: {group} was laid out with another {name} ({_short(have)}) than the study asks for "
                f"({_short(wanted)}): {remedy}"
            )
    for name, variable in template.data_vars.items():
        if name in present and present[name].shape != variable.shape:
            raise StoreError(
                f"{path}: {group}/{name} has shape {present[name].shape}, the study asks for {variable.shape}: {remedy}"
            )


def _equal(first: np.ndarray, second: np.ndarray) -> bool:
    if first.shape != second.shape:
        return False
    if np.issubdtype(second.dtype, np.number):
        return np.allclose(first, second, rtol=1e-6)
    return [str(value) for value in first] == [str(value) for value in second]


def _short(array: xr.DataArray) -> str:
    values = np.asarray(array).ravel()
    return np.array2string(values, threshold=8, edgeitems=3, precision=4)


# --- blocks in and out ---------------------------------------------------------------------------------------------


def read_block(path: Path, block: Block, names: Iterable[str], halo: int = 0) -> xr.Dataset:
    """Read variables of one block into memory, with `halo` more frames at both ends where the run has them."""
    run = open_group(path, block.group)
    frames = slice(max(0, block.start - halo), min(run.sizes["time"], block.stop + halo))
    row = run[list(names)].isel(temperature=block.temperature, replica=block.replica, time=frames)
    return row.load()


def write_block(path: Path, block: Block, values: Mapping[str, np.ndarray]) -> None:
    """Write variables of one block, which must be whole chunks of theirs.

    Raises
    ------
    StoreError
        If the block does not end where the chunks (or shards) do.
    """
    for name, data in values.items():
        array = _array(path, f"{block.group}/{name}")
        region = (block.temperature, block.replica, slice(block.start, block.stop))
        _assert_aligned(array, block, name)
        array[region] = data


def erase_block(path: Path, block: Block, names: Iterable[str]) -> None:
    """Take back what a block holds of variables: a reader then sees it as not there."""
    for name in names:
        array = _array(path, f"{block.group}/{name}")
        array[block.temperature, block.replica, block.start : block.stop] = array.fill_value


def write_row(path: Path, group: str, name: str, temperature: int, replica: int, data: np.ndarray) -> None:
    """Write the value of a derived table at one temperature and replica."""
    _array(path, f"{group}/{name}")[temperature, replica] = data


def write_table(path: Path, group: str, table: xr.Dataset) -> None:
    """Write a small group whole, in place of what stood there."""
    table = _strings_of_any_length(described(table))
    for variable in table.variables.values():
        variable.encoding = {}
    _put(path, group, table)


def open_group(path: Path, group: str) -> xr.Dataset:
    """Open one group: arrays are read when they are used, without Dask."""
    return xr.open_zarr(path, group=group, consolidated=False, chunks=None)


def read_table(path: Path, group: str) -> xr.Dataset:
    """Read a small group into memory."""
    return open_group(path, group).load()


def _strings_of_any_length(dataset: xr.Dataset) -> xr.Dataset:
    """Coordinates of names as Zarr's `string`; strings of fixed length have no specification."""
    return dataset.assign_coords(
        {name: coord.astype(object) for name, coord in dataset.coords.items() if coord.dtype.kind in "UT"}
    )


def _array(path: Path, name: str) -> zarr.Array:
    return zarr.open_array(path, path=name, mode="r+", zarr_format=3)


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
