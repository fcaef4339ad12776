"""Readers of trajectory files: one module for each format, with the two functions of `Format`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daskglass.errors import TrajectoryError
from daskglass.registry import READERS, entry_of, load


@dataclass(frozen=True)
class Scan:
    """What a file holds, without its positions.

    Attributes
    ----------
    steps : (frame,) number of time steps at each frame
    boxes : (frame, 3) edges, σ; exact in single precision, so that all formats give the same positions
    types : names of the particle types
    typeid : (particle,) code of each particle of frame 0 among `types`
    images : whether the periodic images of particles are known
    quantities : names of the quantities logged with each frame, among those of `daskglass.variables`
    offsets : (frame,) where each frame begins in the uncompressed file; empty where the format finds frames itself
    elements : another name of each of the types; empty where there are none
    columns : names of the columns of atoms; empty where the format has none
    firsts : number of the first frame of each file, where there are several; see `daskglass.trajectories.parts`
    times : (frame,) what the file says its time is, τ; NaN where it does not, empty where no format could
    """

    steps: NDArray[np.int64]
    boxes: NDArray[np.float64]
    types: tuple[str, ...]
    typeid: NDArray[np.int8]
    images: bool
    quantities: tuple[str, ...] = ()
    offsets: tuple[int, ...] = ()
    times: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    elements: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    firsts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """One frame as a file holds it, particles in the order of their identity.

    Attributes
    ----------
    index : number of the frame in its trajectory
    step : number of time steps
    box : (3,) edges, σ; exact in single precision
    position : (particle, 3) relative to the centre of the box, σ
    image : (particle, 3) number of boxes to add for the unwrapped position; None where the file does not say
    types : names of the particle types
    typeid : (particle,) code of each particle among `types`
    ids : (particle,) what the file calls each particle, rising; None where it numbers them by their order
    quantities : logged with the frame; energies of the whole box
    elements : another name of each of the types; empty where there are none
    file : that holds the frame, where its trajectory is in several; else None
    """

    index: int
    step: int
    box: NDArray[np.float64]
    position: NDArray[np.float32]
    image: NDArray[np.int32] | None
    types: tuple[str, ...]
    typeid: NDArray[np.int8]
    ids: NDArray[np.int64] | None = None
    quantities: Mapping[str, float] = field(default_factory=dict)
    elements: tuple[str, ...] = ()
    file: Path | None = None

    def where(self, path: Path) -> str:
        """Name the frame, and its file, of a trajectory, for messages."""
        return f"{path}: frame {self.index}" + (f" ({self.file})" if self.file else "")


class DamagedLaterError(TrajectoryError):
    """A file with a fault after whole frames, which can be read; `whole` is the scan of those."""

    def __init__(self, message: str, whole: Scan) -> None:
        super().__init__(message)
        self.whole = whole

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.whole)


class Format(Protocol):
    """A format of trajectory files.

    Both functions raise `TrajectoryError`, naming the file, the frame and what is wrong, where a file is missing,
    unreadable, damaged, cut short, without frames, or not of a three-dimensional orthorhombic periodic box.
    """

    def scan(self, path: Path) -> Scan:
        """Read what a file holds, all but its positions; raise `DamagedLaterError` where some frames are whole."""

    def frames(self, path: Path, start: int, stop: int, offsets: Sequence[int] = ()) -> Iterator[Snapshot]:
        """Read frames `start` to `stop`, one at a time; `offsets` are those of the scan."""


def get_format(name: str) -> Format:
    """Return the module that reads a format.

    Raises
    ------
    StudyError
        If there is none of this name.
    """
    reader: Format = load(entry_of(READERS, name, "trajectory format").place)
    return reader
