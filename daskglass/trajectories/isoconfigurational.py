"""Reader of published isoconfigurational ensembles: one configuration, and where its trajectories end, in an `.npz` file.

What is in a file, each of these an array (of m trajectories of N particles):

- `types` (N,): species codes,
- `initial_positions` (N, 3): the configuration,
- `positions` (m, N, 3): unwrapped, where the trajectories end; or `md_prop` (N,): the propensity itself; where there are both,
  the one is held against the other,
- `initial_positions_cage` (N, 3), if any: centres of the cages.

Published files may hold `initial_positions_inherent` as well. It is not read: nobody says by which potential, and down to which
force, it was minimised, and structural variables of all configurations must be of the same inherent structures.

Arrays of Python objects are refused: reading them can run any code.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from daskglass.errors import TrajectoryError
from daskglass.trajectories.survey import state_of

CAGE = "initial_positions_cage"
REQUIRED = ("types", "initial_positions")
MOTION = ("positions", "md_prop")  # one of them, or both
KNOWN = (*REQUIRED, *MOTION, CAGE)
EDGES = 3


@dataclass(frozen=True)
class Contents:
    """Which arrays a file has, without their values.

    Attributes
    ----------
    shapes : of the arrays of `KNOWN` that it has, by name
    types : (particle,) species codes
    checksums : of all arrays, as the archive states them: they change with its content
    state : size of the file, and time of its last change in ns
    """

    shapes: Mapping[str, tuple[int, ...]]
    types: NDArray[np.int8]
    checksums: tuple[int, ...]
    state: tuple[int, int]

    @property
    def trajectories(self) -> int:
        """Number of trajectories; 0 where the file has the propensity alone."""
        return self.shapes["positions"][0] if "positions" in self.shapes else 0


def scan(path: Path) -> Contents:
    """Read what a file holds, but no positions.

    Raises
    ------
    TrajectoryError
        If it is missing, damaged, no `.npz` file, lacks an array, holds Python objects, or shapes do not agree.
    """
    state = state_of(path)
    with _opened(path) as archive:
        shapes = {name: _shape(path, archive, name) for name in KNOWN if f"{name}.npy" in archive.namelist()}
        if lacking := [name for name in REQUIRED if name not in shapes]:
            raise TrajectoryError(f"has no array {lacking[0]}; it has {_listed(archive)}", file=path)
        if not any(name in shapes for name in MOTION):
            raise TrajectoryError(f"has neither positions nor md_prop; it has {_listed(archive)}", file=path)
        _check_shapes(path, shapes)
        checksums = tuple(member.CRC for member in archive.infolist())
        return Contents(shapes, _codes(path, _values(path, archive, "types")), checksums, state or (0, 0))


def read(path: Path, name: str) -> NDArray[np.float64]:
    """Read one array of real numbers, whose shape `scan` has checked.

    Raises
    ------
    TrajectoryError
        If it cannot be read, or a number is not finite; naming the particle.
    """
    with _opened(path) as archive:
        _shape(path, archive, name)
        values = _values(path, archive, name)
    if values.dtype.kind not in "iuf":
        raise TrajectoryError(f"{name} holds {values.dtype}, not numbers", file=path)
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        where = np.argwhere(~np.isfinite(numbers))[0]
        particle = int(where[1] if name == "positions" else where[0])
        trajectory = f" of trajectory {where[0]}" if name == "positions" else ""
        raise TrajectoryError(f"{name}{trajectory} is not finite at particle {particle}", file=path)
    return numbers


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise TrajectoryError("no such file", file=path) from None
    except (
        OSError,
        EOFError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        RuntimeError,
        zlib.error,
    ) as error:
        raise TrajectoryError(f"cannot be read as an .npz file: {error}", file=path) from error


def _shape(path: Path, archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Shape of an array from its header; arrays of Python objects are refused."""
    try:
        with archive.open(f"{name}.npy") as file:
            read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file)
    except (ValueError, SyntaxError, tokenize.TokenError) as error:
        raise TrajectoryError(f"{name} is damaged: {error}", file=path) from None
    if min(shape, default=0) < 0:
        raise TrajectoryError(f"{name} is damaged: it says that it has shape {shape}", file=path)
    if dtype.hasobject:
        raise TrajectoryError(
            f"{name} is an array of Python objects, which is never unpickled: it could run any code",
            file=path,
            remedy="save it as an array of numbers",
        )
    declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if declared > archive.getinfo(f"{name}.npy").file_size:
        raise TrajectoryError(f"{name} says that it has shape {shape}, and is shorter", file=path)
    return tuple(shape)


def _values(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    try:
        with archive.open(f"{name}.npy") as file:
            values: NDArray[np.generic] = npy.read_array(file, allow_pickle=False)
            return values
    except ValueError as error:
        raise TrajectoryError(f"{name} is damaged: {error}", file=path) from None


def _check_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if len(shapes["types"]) != 1:
        raise TrajectoryError(f"types has shape {shapes['types']}; one number a particle is expected", file=path)
    (N,) = shapes["types"]
    if not N:
        raise TrajectoryError("holds no particles", file=path)
    expected = {name: (N,) if name in ("types", "md_prop") else (N, EDGES) for name in shapes}
    for name, shape in shapes.items():
        of_one = shape[1:] if name == "positions" else shape
        if of_one != expected[name] or (name == "positions" and not shape[0]):
            words = "(m, " + ", ".join(map(str, expected[name])) + ")" if name == "positions" else expected[name]
            raise TrajectoryError(f"{name} has shape {shape}; of {N} particles it is {words}", file=path)


def _codes(path: Path, types: NDArray[np.generic]) -> NDArray[np.int8]:
    if types.dtype.kind not in "iu" or types.min(initial=0) < 0 or types.max(initial=0) > np.iinfo(np.int8).max:
        raise TrajectoryError("types must be codes of species: 0, 1, …", file=path)
    return types.astype(np.int8)


def _listed(archive: zipfile.ZipFile) -> str:
    return ", ".join(name.removesuffix(".npy") for name in archive.namelist()) or "none"
