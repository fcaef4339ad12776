"""Export to other programs: tables and netCDF of a query, and a GSD trajectory of one row of a run."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import StoreError, StudyError, writing
from daskglass.physics.particles import check_codes, species_names
from daskglass.store.queries import dimensions

if TYPE_CHECKING:
    import gsd.hoomd
    import pandas as pd

PIECE_ROWS = 500_000  # of a table, in memory at once
PIECE_BYTES = 64_000_000  # of positions, in memory at once
LARGEST_IMAGE = 2**31 - 1
FORMATS = (".nc", ".csv", ".parquet")


# --- tables --------------------------------------------------------------------------------------------------------


def save(found: xr.Dataset, path: Path) -> None:
    """Write a Dataset as netCDF (.nc), or as a table of a row per combination of labels (.csv, .parquet).

    Written piece by piece, whatever its size; rows of missing values are written too. The file appears whole or not at
    all, in place of what stood there.

    Raises
    ------
    StudyError
        If the name ends otherwise, or its folder does not exist.
    StoreError
        If a library that writes the format is not installed.
    """
    if path.suffix not in FORMATS:
        raise StudyError(f"--out {path}: the name must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    try:
        with whole(path) as aside:
            if path.suffix == ".nc":
                _check_room(path, found.nbytes)
                found.drop_encoding().to_netcdf(aside, engine="h5netcdf")
            elif path.suffix == ".csv":
                _write_csv(found, aside)
            else:
                _write_parquet(found, aside)
    except ImportError as error:
        raise StoreError(str(error), file=path, remedy='install it with pip install "daskglass[export]"') from error


def _check_room(path: Path, nbytes: int) -> None:
    # HDF5 crashes the process some time after a write to a full disk
    if shutil.disk_usage(path.parent).free < nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def rows(found: xr.Dataset, most: int = PIECE_ROWS) -> Iterator[pd.DataFrame]:
    """Yield a table of a Dataset in pieces of at most `most` rows: labels, then other coordinates, then variables."""
    if number_of_rows(found) > most:
        dim = next(dim for dim in dimensions(found) if found.sizes[dim] > 1)
        middle = found.sizes[dim] // 2
        yield from rows(found.isel({dim: slice(None, middle)}), most)
        yield from rows(found.isel({dim: slice(middle, None)}), most)
        return
    # times that differ by temperature and replica are a column; frames are then numbered
    numbered = {dim: "frame" for dim in found.dims if dim in found.coords and dim not in found.indexes}
    found = found.rename_dims(numbered).load()
    dims = dimensions(found)
    if not dims:
        found = found.expand_dims("row")
    frame = found.to_dataframe(dim_order=dims or ["row"]).reset_index(drop=not dims)
    if "species" in frame and "names" in found["species"].attrs:
        frame["species"] = np.array([*species_names(found["species"]), ""], object)[frame["species"]]
    coordinates = [name for name in frame if name not in dims and name not in found.data_vars]
    yield frame[[*dims, *coordinates, *map(str, found.data_vars)]]


def number_of_rows(found: xr.Dataset) -> int:
    """Rows of the table of a Dataset: one for every combination of labels."""
    return int(np.prod(list(found.sizes.values()), dtype=np.int64))


def _write_csv(found: xr.Dataset, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, piece in enumerate(rows(found)):
            piece.to_csv(file, index=False, header=number == 0)


def _write_parquet(found: xr.Dataset, path: Path) -> None:
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    writer = None
    try:
        for piece in rows(found):
            table = arrow.Table.from_pandas(piece, preserve_index=False, schema=writer and writer.schema)
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def check_folder(path: Path) -> None:
    """Refuse a file in a folder that is not there."""
    if not path.parent.is_dir():
        raise StudyError(f"the folder {path.parent} does not exist", file=path)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; it replaces `path` on success, and is removed on failure."""
    check_folder(path)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            yield aside
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


# --- trajectories --------------------------------------------------------------------------------------------------


def write_gsd(
    path: str | os.PathLike[str], run: xr.Dataset, positions: str = "position", scalars: Sequence[str] = ()
) -> None:
    """Write one row of a run as a GSD trajectory in the HOOMD schema, which HOOMD-blue, OVITO and freud read.

    Positions are wrapped into the box around the origin, −L/2 ≤ w < L/2, and carry their images n = ⌊p/L + 1/2⌋, so
    that w + nL in double precision, rounded to single, is p to the last bit (−0 comes back as 0); the box is written in
    single precision, as GSD holds it. `configuration.step` is time over `run.attrs["timestep"]`, rounded, and the
    number of the frame in `run` where that is not known. Logged with each frame are `time` in τ, and every scalar as
    `particles/<name>`, of which OVITO makes a particle property to colour by. Floating-point values are written as they
    are, NaN too; codes as int32. The file appears whole or not at all, and replaces one that exists.

    Parameters
    ----------
    path : str or os.PathLike
        File to write.
    run : xarray.Dataset
        Dataset of dimensions time, particle, xyz, with `species` (particle,), `box` (xyz,) or (time, xyz) in σ and
        `time` in τ; read in blocks of frames.
    positions : str, optional
        Variable (time, particle, xyz) of unwrapped positions in σ, single precision.
    scalars : sequence of str, optional
        Variables (time, particle) to write with them.

    Raises
    ------
    StudyError
        If the folder of `path` does not exist.
    StoreError
        If a variable is missing or has other dimensions, a frame was not written, or a position cannot be given exactly
        by a box and a number of images; it names the frame and the particle.

    Examples
    --------
    A particle that has left the box of 10 σ by one image:

    >>> run = xr.Dataset(
    ...     {
    ...         "position": (
    ...             ("time", "particle", "xyz"),
    ...             np.float32([[[4.0, 0.0, 0.0]], [[6.0, 0.0, 0.0]]]),
    ...         ),
    ...         "species": ("particle", np.int8([0]), {"names": ["A"]}),
    ...         "box": ("xyz", [10.0, 10.0, 10.0]),
    ...     },
    ...     coords={"time": [0.0, 1.0]},
    ... )
    >>> dg.write_gsd("example.gsd", run)
    >>> import gsd.hoomd
    >>> with gsd.hoomd.open("example.gsd") as file:
    ...     frame = file[1]
    >>> print(frame.particles.position[0], frame.particles.image[0])
    [-4.  0.  0.] [1 0 0]
    """
    path = Path(path)
    expected = {positions: ("time", "particle", "xyz"), **{name: ("time", "particle") for name in scalars}}
    for name in ("species", "box", "time", *expected):
        if name not in run.variables:
            raise StoreError(f"no variable {name!r}; the variables are {sorted(map(str, run.variables))}", file=path)
    for name, dims in expected.items():
        if set(run[name].dims) != set(dims):
            raise StoreError(
                f"{name} has dimensions {run[name].dims}, not {dims}",
                file=path,
                remedy="select one system, temperature and replica",
            )
    if not set(run["box"].dims) <= {"time", "xyz"}:
        raise StoreError(f"box has dimensions {run['box'].dims}, not ('xyz',) or ('time', 'xyz')", file=path)
    if run[positions].dtype != np.float32:
        raise StoreError(
            f"{positions} is {run[positions].dtype}, but GSD stores float32", file=path, remedy="convert it first"
        )
    check_codes(run["species"])
    import gsd.hoomd

    frames = run.sizes["time"]
    steps = _steps(run)
    block = max(1, PIECE_BYTES // max(1, 12 * run.sizes["particle"]))
    with whole(path) as aside, gsd.hoomd.open(aside, "w") as file:
        for start in range(0, frames, block):
            part = run.isel(time=slice(start, start + block))
            part = part[[positions, *scalars]].assign_coords(box=part["box"]).transpose("time", "particle", ...).load()
            for k in range(part.sizes["time"]):
                where = f"frame {start + k}, time {float(part['time'][k]):g}, of {positions}"
                file.append(
                    _frame(part.isel(time=k), run["species"], positions, scalars, steps[start + k], path, where)
                )


def _frame(
    now: xr.Dataset, species: xr.DataArray, positions: str, scalars: Sequence[str], step: int, path: Path, where: str
) -> gsd.hoomd.Frame:
    import gsd.hoomd

    box = now["box"].values.astype(np.float32)
    frame = gsd.hoomd.Frame()
    frame.configuration.step = step
    frame.configuration.dimensions = 3
    frame.configuration.box = [*box, 0, 0, 0]
    frame.particles.N = now.sizes["particle"]
    frame.particles.types = species_names(species)
    frame.particles.typeid = species.values.astype(np.uint32)
    frame.particles.position, frame.particles.image = wrapped(now[positions].values, box, path, where)
    frame.log["time"] = np.array([float(now["time"])])
    for name in scalars:
        values = now[name].values
        frame.log[f"particles/{name}"] = values if values.dtype.kind == "f" else values.astype(np.int32)
    return frame


def wrapped(
    position: NDArray[np.float32], box: NDArray[np.float32], path: Path, where: str
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Wrap positions (particle, 3) into −L/2 ≤ w < L/2, with the images that give them back to the last bit.

    With n ≠ 0, p and nL are whole multiples of half the spacing of single-precision numbers at L, so w is one, too.

    Raises
    ------
    StoreError
        If a position is not finite, or so far away that no number of images gives it back; it says `path` and `where`.
    """
    finite = np.isfinite(position).all(axis=-1)
    if not finite.any():
        raise StoreError(
            f"{where}: not computed, or not converged",
            file=path,
            remedy="finish the study, or select times without this frame",
        )
    if not finite.all():
        raise StoreError(f"{where}: particle {int(np.argmin(finite))}: position is not finite", file=path)
    edges = box.astype(np.float64)
    if not (edges > 0).all():
        raise StoreError(f"{where}: box edges must be positive; got {box}", file=path)
    exact = position.astype(np.float64)
    images = np.floor(exact / edges + 0.5)
    inside = (exact - images * edges).astype(np.float32)
    back = (inside.astype(np.float64) + images * edges).astype(np.float32)
    held = ((back == position) & (np.abs(images) <= LARGEST_IMAGE) & (inside >= -edges / 2) & (inside < edges / 2)).all(
        -1
    )
    if not held.all():
        particle = int(np.argmin(held))
        raise StoreError(
            f"{where}: particle {particle}: position {exact[particle]} is too far from the box {box} to be exact in single "
            "precision",
            file=path,
        )
    return inside, images.astype(np.int32)


def _steps(run: xr.Dataset) -> NDArray[np.int64]:
    timestep = run.attrs.get("timestep")
    if timestep is None:
        return np.arange(run.sizes["time"])
    return np.rint(run["time"].values / float(timestep)).astype(np.int64)
