"""The template of a run: laid out before any data is written, and extended without rewriting data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, TransposeCodec

from daskglass.errors import StoreError
from daskglass.physics.labels import same
from daskglass.store.blocks import (
    Block,
    add_arrays,
    open_group,
    put_group,
    restore_group,
    strings_of_any_length,
)
from daskglass.store.durable import hard_link
from daskglass.store.metadata import put_attributes
from daskglass.variables import ALONG, FRAMES, RUN, Variable

CHUNK_BYTES = 6_300_000  # of positions; 16 frames of 32,768 particles
CHUNK_FRAMES = 16
SHARD_BYTES = 64_000_000
MANY_FILES = 100_000
GROWING = (*RUN, *ALONG)
KEPT = ("study", "study_file", "delta", "mixture")  # attributes that survive when files join a store
TABLES = ("lag", "r", "trajectory")  # coordinates of derived data only: if they change, the data are dropped


def frames_per_chunk(particles: int) -> int:
    """Frames of one chunk: all particles of at most 16 frames, at most 6.3 MB of positions."""
    return max(1, min(CHUNK_FRAMES, CHUNK_BYTES // (12 * particles)))


def frames_per_block(particles: int, blocks: int) -> int:
    """Frames of one block: a chunk, or a shard of 64 MB if chunks alone would be too many files."""
    chunk = frames_per_chunk(particles)
    if blocks <= MANY_FILES:
        return chunk
    return chunk * max(1, SHARD_BYTES // (12 * particles * chunk))


def division(path: Path, group: str) -> tuple[int, int] | None:
    """Frames of a chunk and of a block of an existing run; None if there is no run."""
    if not (path / group / "position" / "zarr.json").is_file():
        return None
    array = zarr.open_array(path, path=f"{group}/position", mode="r")
    time = FRAMES.index("time")
    return array.chunks[time], (array.shards or array.chunks)[time]


@dataclass(frozen=True)
class Layout:
    """Shape of one run: coordinates, variables, and frames per chunk and block.

    Attributes
    ----------
    along : dimension that frames lie along
    """

    system: str
    run: str
    coordinates: Mapping[str, xr.DataArray]
    variables: Sequence[Variable]
    sizes: Mapping[str, int]
    chunk: int
    block: int
    along: str = "time"

    @property
    def frames(self) -> int:
        """Number of frames of one temperature and replica."""
        return self.sizes[self.along]

    @property
    def rows(self) -> int:
        """Number of temperatures times that of replicas."""
        return self.sizes["temperature"] * self.sizes["replica"]

    @property
    def blocks_of_a_row(self) -> int:
        """Number of blocks that the frames of one temperature and replica are divided into."""
        return -(-self.frames // self.block)

    @property
    def block_frames(self) -> int:
        """Frames of the largest block."""
        return min(self.block, self.frames)

    def blocks(self) -> list[Block]:
        """Every block of the run, in order."""
        return [
            Block(self.system, self.run, T, replica, start, min(start + self.block, self.frames))
            for T in self.coordinates["temperature"].values.tolist()
            for replica in self.coordinates["replica"].values.tolist()
            for start in range(0, self.frames, self.block)
        ]

    def nbytes(self) -> dict[str, int]:
        """Uncompressed bytes of each variable."""
        return {
            variable.name: int(np.prod([self.sizes[dim] for dim in variable.dims])) * np.dtype(variable.dtype).itemsize
            for variable in self.variables
        }


def lay_out(path: Path, layout: Layout, attrs: Mapping[str, Any], run_attrs: Mapping[str, Any] | None = None) -> None:
    """Write metadata and coordinates of a run, but no data.

    A new run is written aside and renamed into place. An existing run keeps its data: missing variables, temperatures,
    replicas and later frames are added.

    Parameters
    ----------
    path : the store
    layout : of the run
    attrs, run_attrs : attributes of both system and run, and of the run only

    Raises
    ------
    StoreError
        If the run exists with other particles, or with temperatures, replicas or frames that the layout lacks.
    """
    group = f"{layout.system}/{layout.run}"
    restore_group(path, group)
    if not (path / group).exists():
        dataset, encoding = _template(layout, attrs)
        put_group(path, group, _unwritten(dataset, encoding), compute=False, encoding=encoding)
    else:
        there = open_group(path, group)
        # of a study that kept positions of trajectories, which would not follow what is run later
        present = there.drop_dims("trajectory") if "trajectory" in set(there.dims) - set(layout.sizes) else there
        attrs = {name: present.attrs[name] for name in KEPT if name in present.attrs} | dict(attrs)
        dataset, encoding = _template(_with_present(present, layout), attrs)
        _check_same(path, group, present, dataset)
        if present is not there or _differs(present, dataset):
            put_group(
                path,
                group,
                _unwritten(dataset, encoding),
                lambda new: _link_chunks(path / group, present, new, dataset),
                compute=False,
                encoding=encoding,
            )
        elif missing := [name for name in encoding if name not in present.variables]:
            added = dataset[missing].reset_coords(drop=True).drop_vars(dataset.indexes, errors="ignore")
            encoding = {name: encoding[name] for name in missing}
            add_arrays(path, group, _unwritten(added, encoding), compute=False, encoding=encoding)
    put_attributes(path / layout.system, dict(attrs))
    put_attributes(path / group, {**attrs, **(run_attrs or {})})


def _template(layout: Layout, attrs: Mapping[str, Any]) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """Coordinates, arrays of fill values that take no memory, and their encodings."""
    dataset = strings_of_any_length(xr.Dataset(coords=dict(layout.coordinates), attrs=dict(attrs)))
    encoding: dict[str, dict[str, Any]] = {}
    for variable in layout.variables:
        shape = tuple(layout.sizes[dim] for dim in variable.dims)
        chunks, shards = _chunking(layout, variable)
        filled = np.broadcast_to(np.array(variable.fill_value, variable.dtype), shape)
        dataset[variable.name] = xr.Variable(variable.dims, filled, variable.attrs)
        encoding[variable.name] = {
            "chunks": chunks,
            "shards": shards,
            "compressors": BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
            "filters": _filters(variable),
            "fill_value": variable.fill_value,
        }
    return dataset, encoding


def _unwritten(dataset: xr.Dataset, encoding: Mapping[str, Mapping[str, Any]]) -> xr.Dataset:
    """Template whose arrays are Dask's, of which Zarr lays out the metadata alone."""
    import dask.array as da

    return dataset.assign(
        {
            name: dataset[name].copy(
                data=da.full_like(dataset[name].data, how["fill_value"], chunks=how["shards"] or how["chunks"])
            )
            for name, how in encoding.items()
        }
    )


def _chunking(layout: Layout, variable: Variable) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Shapes of a chunk, and of a shard where chunks are in one: a file is a block, and no chunk much larger than others."""

    def pieces(frames: int) -> tuple[int, ...]:
        # independent of the number of frames: more may join
        each = {"temperature": 1, "replica": 1, layout.along: frames}
        return tuple(each.get(dim, layout.sizes[dim]) for dim in variable.dims)

    chunks = pieces(layout.chunk)
    if "trajectory" in variable.dims:
        # all trajectories at one lag, unless they are large
        several = layout.sizes["trajectory"] * 12 * layout.sizes["particle"] <= CHUNK_BYTES
        one = {"lag": 1} if several else {"lag": 1, "trajectory": 1}
        return tuple(one.get(dim, size) for dim, size in zip(variable.dims, chunks, strict=True)), chunks
    return chunks, pieces(layout.block) if layout.block > layout.chunk and layout.along in variable.dims else None


def _filters(variable: Variable) -> list[TransposeCodec]:
    """Let time vary fastest in positions: a coordinate in successive frames compresses better."""
    if variable.dims[-3:] != ("time", "particle", "xyz"):
        return []
    order = list(range(len(variable.dims)))
    return [TransposeCodec(order=(*order[:-3], order[-2], order[-1], order[-3]))]


# --- growing -------------------------------------------------------------------------------------------------------


def _check_same(path: Path, group: str, present: xr.Dataset, wanted: xr.Dataset) -> None:
    """Refuse a layout that would lose data of the existing run."""
    remedy = f"give the study another store, or delete {path} and {path.name}.ledger to start over"
    for name, coordinate in wanted.coords.items():
        if name not in present.coords or name in TABLES or coordinate.ndim > 1:
            continue
        have, want = present[name].values, coordinate.values
        if name not in GROWING:
            if not _equal(have, want):
                raise StoreError(
                    f"{group} and the study differ in {name}: {_short(have)} and {_short(want)}",
                    file=path,
                    remedy=remedy,
                )
        elif name in ALONG and not (have.size <= want.size and _equal(have, want[: have.size])):
            raise StoreError(
                f"{group} has {have.size} frames of {name} {_short(have)}, and the study's {want.size} frames ({_short(want)}) "
                "do not continue them",
                file=path,
                remedy=remedy,
            )
        elif lost := [value for value in have.tolist() if not _where(want, value).any()]:
            raise StoreError(
                f"{group} has {name} {lost}, which the study does not list", file=path, remedy=f"list it, or {remedy}"
            )
    for name, variable in wanted.data_vars.items():
        fixed = [dim for dim in variable.dims if dim not in wanted.indexes and dim in present.sizes]
        if name in present and any(present.sizes[dim] != wanted.sizes[dim] for dim in fixed):
            raise StoreError(
                f"{group}/{name} has shape {present[name].shape}, but the study asks for {variable.shape}",
                file=path,
                remedy=remedy,
            )


def _differs(present: xr.Dataset, wanted: xr.Dataset) -> bool:
    return any(
        name not in present.coords or not _equal(present[name].values, wanted[name].values)
        for name in (*GROWING, *TABLES)
        if name in wanted.indexes
    ) or ("box" in present.coords and "box" in wanted.data_vars)


def _with_present(present: xr.Dataset, layout: Layout) -> Layout:
    """Add to a layout the variables and coordinates of tables that only the store has."""
    listed = {variable.name for variable in layout.variables}
    variables = [
        Variable(
            str(name), tuple(map(str, there.dims)), str(there.dtype),
            there.attrs.get("units", "1"), there.attrs.get("long_name", str(name)),
        )
        for name, there in present.variables.items()
        if name not in listed and there.dims[: len(RUN)] == RUN
    ]  # fmt: skip
    varying = {variable.name for variable in variables}
    coordinates = {name: values for name, values in layout.coordinates.items() if name not in varying}
    coordinates |= {name: present[name] for name in TABLES if name in present.coords and name not in coordinates}
    sizes = {**{str(dim): size for dim, size in present.sizes.items()}, **layout.sizes}
    sizes |= {name: values.size for name, values in coordinates.items() if values.dims == (name,)}
    return replace(layout, coordinates=coordinates, variables=[*layout.variables, *variables], sizes=sizes)


def _link_chunks(old: Path, present: xr.Dataset, new: Path, wanted: xr.Dataset) -> None:
    """Link the chunks of the old run into the new one, at the places of their temperatures and replicas."""
    rows = [
        (f"c/{i}/{j}", f"c/{_place(wanted['temperature'], T)}/{_place(wanted['replica'], replica)}")
        for i, T in enumerate(present["temperature"].values)
        for j, replica in enumerate(present["replica"].values)
    ]
    for name in wanted.variables:
        if (
            name not in present.variables
            or wanted[name].dims[: len(RUN)] != RUN
            or present[name].dims != wanted[name].dims
        ):
            continue
        # tables over another range of r or lag are recomputed
        if all(_equal(present[dim], wanted[dim]) for dim in TABLES if dim in wanted[name].dims):
            _check_same_chunks(old / str(name), new / str(name))
            for before, after in rows:
                _link(old / str(name) / before, new / str(name) / after)
    if "box" in present.coords and "box" in wanted.data_vars:
        box = zarr.open_array(new, path="box", mode="r+")
        for T in present["temperature"].values:
            for replica in present["replica"].values:
                row = _place(wanted["temperature"], T), _place(wanted["replica"], replica)
                box[(*row, slice(0, present.sizes["time"]))] = np.tile(
                    present["box"].values, (present.sizes["time"], 1)
                )


def _where(labels: np.ndarray, value: float) -> np.ndarray:
    return same(labels, value) if labels.dtype.kind == "f" else labels == value


def _place(coordinate: xr.DataArray, value: float) -> int:
    return int(np.argmax(_where(coordinate.values, value)))


def _check_same_chunks(old: Path, new: Path) -> None:
    """Check that the chunks of one array fit another: both may differ only in the lengths of growing dimensions.

    Raises
    ------
    StoreError
        If they differ: the data would be lost.
    """
    first, second = (json.loads((array / "zarr.json").read_text()) for array in (old, new))
    for metadata in (first, second):
        grows = [k for k, dim in enumerate(metadata["dimension_names"]) if dim in GROWING]
        metadata["shape"] = [None if k in grows else size for k, size in enumerate(metadata["shape"])]
        metadata.pop("attributes", None)
    if first != second:
        raise StoreError(
            "was written with other chunks or codecs",
            file=old,
            remedy="read it with the version of daskglass that wrote it",
        )


def _link(old: Path, new: Path) -> None:
    """Hard-link a folder's files; copy them if the file system does not support links."""
    for file in old.rglob("*"):
        if file.is_dir():
            continue
        there = new / file.relative_to(old)
        there.parent.mkdir(parents=True, exist_ok=True)
        if not hard_link(file, there):
            shutil.copy2(file, there)


def _equal(first: np.ndarray | xr.DataArray, second: np.ndarray | xr.DataArray) -> bool:
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        return False
    if np.issubdtype(second.dtype, np.floating):
        return bool(same(first, second).all())
    return [str(value) for value in first] == [str(value) for value in second]


def _short(values: np.ndarray) -> str:
    return np.array2string(np.asarray(values).ravel(), threshold=8, edgeitems=3, precision=4)
