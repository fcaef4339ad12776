"""GSD files of HOOMD-blue's schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from daskglass.errors import TrajectoryError

THERMODYNAMICS = {
    "potential_energy": "md/compute/ThermodynamicQuantities/potential_energy",
    "pressure": "md/compute/ThermodynamicQuantities/pressure",
}


@dataclass(frozen=True)
class Header:
    """What a file holds, from its first and last frame."""

    frames: int
    species: NDArray[np.int8]
    box: NDArray[np.float64]
    first_step: int
    interval: float
    quantities: tuple[str, ...]


@dataclass(frozen=True)
class Frames:
    """Successive frames: unwrapped `position` (time, particle, 3) in σ, `step` (time,), and logged quantities."""

    position: NDArray[np.float32]
    step: NDArray[np.int64]
    quantities: dict[str, NDArray[np.float64]]


def read_header(path: Path, names: Sequence[str]) -> Header:
    """Read the number of frames, species, box, and mean interval in time steps.

    Parameters
    ----------
    path : the file
    names : the names of the species, in the order of their codes

    Raises
    ------
    TrajectoryError
        If the file is missing, damaged, empty, or of other species than `names`.
    """
    with _opened(path) as file:
        if len(file) == 0:
            raise TrajectoryError(f"{path}: holds no frame")
        first, last = file[0], file[len(file) - 1]
        start = int(first.configuration.step)
        interval = (int(last.configuration.step) - start) / max(len(file) - 1, 1)
        quantities = tuple(name for name, key in THERMODYNAMICS.items() if key in first.log)
        box = _box(path, 0, first)
        return Header(len(file), _codes(path, 0, first, names), box, start, interval, quantities)


def read_frames(path: Path, start: int, stop: int, names: Sequence[str], header: Header) -> Frames:
    """Read frames `start` to `stop`, unwrapped by their images, checked against the header.

    Raises
    ------
    TrajectoryError
        Naming the file, the frame and what is wrong with it.
    """
    positions = np.empty((stop - start, header.species.size, 3), np.float32)
    steps = np.empty(stop - start, np.int64)
    quantities = {name: np.full(stop - start, np.nan) for name in header.quantities}
    with _opened(path) as file:
        if len(file) < stop:
            raise TrajectoryError(f"{path}: holds {len(file)} frames, {stop} are expected")
        for k, index in enumerate(range(start, stop)):
            frame = file[index]
            if not np.array_equal(_codes(path, index, frame, names), header.species):
                raise TrajectoryError(f"{path}: frame {index}: number or species of particles differ from frame 0")
            box = _box(path, index, frame)
            if not np.allclose(box, header.box, rtol=1e-6):
                raise TrajectoryError(f"{path}: frame {index}: box {box} differs from that of frame 0, {header.box}")
            if not file.file.chunk_exists(frame=0, name="particles/image"):
                raise TrajectoryError(f"{path}: holds no images, without which positions cannot be unwrapped")
            unwrapped = frame.particles.position.astype(np.float64) + frame.particles.image * box
            finite = np.isfinite(unwrapped).all(axis=1)
            if not finite.all():
                particle = int(np.argmin(finite))
                raise TrajectoryError(f"{path}: frame {index}: position of particle {particle} is not finite")
            positions[k], steps[k] = unwrapped, frame.configuration.step
            for name in header.quantities:
                quantities[name][k] = float(np.asarray(frame.log[THERMODYNAMICS[name]]).item())
    return Frames(positions, steps, quantities)


@contextmanager
def _opened(path: Path) -> Iterator[gsd.hoomd.HOOMDTrajectory]:
    """Open a file for reading, and turn what the library says of a damaged one into an error naming it."""
    if not path.is_file():
        raise TrajectoryError(f"{path}: no such file")
    try:
        with gsd.hoomd.open(path, "r") as file:
            yield file
    except TrajectoryError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise TrajectoryError(f"{path}: not a readable GSD file, damaged or cut short: {error}") from error


def _codes(path: Path, index: int, frame: gsd.hoomd.Frame, names: Sequence[str]) -> NDArray[np.int8]:
    types = list(frame.particles.types or ())
    unknown = sorted(set(types) - set(names))
    if frame.particles.N == 0 or unknown or not types:
        raise TrajectoryError(
            f"{path}: frame {index}: particle types {types}; the system has the species {list(names)}"
        )
    code = np.array([names.index(name) for name in types], np.int8)
    return code[frame.particles.typeid]


def _box(path: Path, index: int, frame: gsd.hoomd.Frame) -> NDArray[np.float64]:
    box = np.asarray(frame.configuration.box, dtype=np.float64)
    if (box[:3] <= 0).any() or (box[3:] != 0).any():
        raise TrajectoryError(
            f"{path}: frame {index}: box {box}: only three-dimensional orthorhombic boxes are supported"
        )
    return box[:3]
