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
    """Contents of a file, without positions.

    Attributes
    ----------
    steps : (frame,) number of time steps at each frame
    boxes : (frame, 3) edges, σ; exact in single precision, so that all formats give the same positions
    types : names of the particle types
    typeid : (particle,) code of each particle of frame 0 among `types`
    images : whether the periodic images of particles are known
    quantities : names of the quantities logged with each frame, among those of `daskglass.variables`
    offsets : (frame,) start of each frame in the uncompressed file; empty if the format finds frames itself
    elements : a second name of each type, if any
    columns : names of the columns of atoms; empty if the format has none
    firsts : number of the first frame of each of several files; see `daskglass.trajectories.several_files`
    times : (frame,) time in the file, τ; NaN if a frame has none, empty if the format has none
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
    """One frame of a file, with particles in the order of their ids.

    Attributes
    ----------
    index : number of the frame in its trajectory
    step : number of time steps
    box : (3,) edges, σ; exact in single precision
    position : (particle, 3) relative to the centre of the box, σ
    image : (particle, 3) number of boxes to add for the unwrapped position; None if unknown
    types : names of the particle types
    typeid : (particle,) code of each particle among `types`
    ids : (particle,) ids in the file, rising; None if the order is the id
    quantities : logged with the frame; energies of the whole box
    elements : a second name of each type, if any
    file : the file of the frame, if the trajectory has several; else None
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

    def error(self, path: Path, problem: str, remedy: str = "") -> TrajectoryError:
        """Error of this frame of a trajectory."""
        problem = f"{self.file}: {problem}" if self.file else problem
        return TrajectoryError(problem, file=path, frame=self.index, remedy=remedy)


class DamagedLaterError(TrajectoryError):
    """A file damaged after complete frames, which can be read; `whole` is their scan."""

    def __init__(self, damage: TrajectoryError, whole: Scan) -> None:
        super().__init__(damage.problem, file=damage.file, frame=damage.frame, remedy=damage.remedy)
        self.whole = whole

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (TrajectoryError(), self.whole), vars(self)


class Format(Protocol):
    """A format of trajectory files.

    Both functions raise `TrajectoryError`, with file, frame and problem, if a file is missing, unreadable, damaged, cut
    short, without frames, or its box is not three-dimensional, orthorhombic and periodic.
    """

    def scan(self, path: Path) -> Scan:
        """Read everything but positions; raise `DamagedLaterError` if only the first frames are complete."""

    def frames(self, path: Path, start: int, stop: int, offsets: Sequence[int] = ()) -> Iterator[Snapshot]:
        """Read frames `start` to `stop`, one at a time; `offsets` are those of the scan."""


def get_format(name: str) -> Format:
    """Return the module that reads a format.

    Raises
    ------
    StudyError
        If the format is unknown.
    """
    reader: Format = load(entry_of(READERS, name, "trajectory format").place)
    return reader
