"""A trajectory in several files, whose names differ only in the time step of their first frame."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from daskglass.errors import TrajectoryError
from daskglass.trajectories import DamagedLaterError, Format, Scan, Snapshot, get_format

STEP = "{step}"  # marks in a path where the names of its files differ


class Part(NamedTuple):
    """One file of several.

    Attributes
    ----------
    step : time step, as spelled in the file's name
    size, modified : bytes, and time of the last change in ns
    first : number of its first frame in the trajectory
    """

    step: str
    size: int
    modified: int
    first: int


def file_of(path: Path, step: str) -> Path:
    """File of a trajectory with this time step in its name."""
    before, _, after = str(path).rpartition(STEP)
    return Path(before + step + after)


def get_reader(form: str, parts: Sequence[Part] = ()) -> Format:
    """Reader of a trajectory in one file, or in several."""
    reader = get_format(form)
    return Parts(reader, [part.step for part in parts], [part.first for part in parts]) if parts else reader


@dataclass(frozen=True)
class Parts:
    """Several files, read as one; see `daskglass.trajectories.Format`.

    Attributes
    ----------
    format : of each file
    steps : time steps as spelled in the files' names, rising
    firsts : number of the first frame of each file; needed by `frames` only, for the files it reads
    """

    format: Format
    steps: Sequence[str]
    firsts: Sequence[int] = ()

    def scan(self, path: Path) -> Scan:
        """Read everything but positions from all files, each once.

        Raises
        ------
        TrajectoryError
            As the format does; if a file's first frame is not at the time step in its name, or its number of particles,
            types, columns or quantities differ from those of the first file.
        """
        scans: list[Scan] = []
        firsts, frames = [], 0
        damage: TrajectoryError | None = None
        for step in self.steps:
            firsts.append(frames)
            if damage is not None:
                continue
            try:
                scan = self._scan_part(path, step, scans[0] if scans else None)
            except DamagedLaterError as error:
                scan, damage = error.whole, error
            except TrajectoryError as error:
                if not scans:
                    raise TrajectoryError(str(error), file=path) from error
                damage = error
                continue
            scans.append(scan)
            frames += scan.steps.size
        whole = replace(
            scans[0],
            steps=np.concatenate([scan.steps for scan in scans]),
            boxes=np.concatenate([scan.boxes for scan in scans]),
            times=np.concatenate([scan.times for scan in scans]),
            images=all(scan.images for scan in scans),
            offsets=tuple(offset for scan in scans for offset in scan.offsets),
            firsts=tuple(firsts),
        )
        if damage is not None:
            raise DamagedLaterError(TrajectoryError(str(damage), file=path), whole) from damage
        return whole

    def frames(self, path: Path, start: int, stop: int, offsets: Sequence[int] = ()) -> Iterator[Snapshot]:
        """Read frames `start` to `stop`, one at a time; opens only the files that contain them.

        Raises
        ------
        TrajectoryError
            As the format does.
        """
        for step, first, end in zip(self.steps, self.firsts, [*self.firsts[1:], stop], strict=True):
            low, high = max(start, first), min(stop, end)
            if low >= high:
                continue
            file = file_of(path, step)
            try:
                for snapshot in self.format.frames(file, low - first, high - first, offsets[first:end]):
                    yield replace(snapshot, index=first + snapshot.index, file=file)
            except TrajectoryError as error:
                raise TrajectoryError(str(error), file=path) from error

    def _scan_part(self, path: Path, step: str, first: Scan | None) -> Scan:
        file = file_of(path, step)
        try:
            scan, damage = self.format.scan(file), None
        except DamagedLaterError as error:
            scan, damage = error.whole, error
        if int(step) != scan.steps[0]:
            raise TrajectoryError(
                f"the first frame is at time step {scan.steps[0]}, but the name has {int(step)}",
                file=file,
                remedy=f"name files by the time step of their first frame{_joining(path) if scan.offsets else ''}",
            )
        if first is not None:
            _check_alike(file, scan, file_of(path, self.steps[0]), first)
        if damage is not None:
            raise damage
        return scan


def _check_alike(file: Path, scan: Scan, first_file: Path, first: Scan) -> None:
    for what, here, there in (
        ("particles", scan.typeid.size, first.typeid.size),
        ("types", " ".join(scan.types), " ".join(first.types)),
        ("columns", " ".join(scan.columns), " ".join(first.columns)),
        ("logged quantities", " ".join(scan.quantities) or "none", " ".join(first.quantities) or "none"),
    ):
        if here != there:
            raise TrajectoryError(
                f"{what}: {here}, but {there} in {first_file}",
                file=file,
                remedy="write the same particles, types and columns in all files",
            )


def _joining(path: Path) -> str:
    """Advice to join text dumps in the order of the numbers in their names."""
    before, step, after = path.name.partition(STEP)
    if not step:
        return ""
    names = f"{shlex.quote(before) if before else ''}*{shlex.quote(after) if after else ''}"
    return (
        f"; if they are numbered otherwise, join them, in {path.parent}: cat $(ls -v {names}) > "
        f"all{path.suffix if STEP not in path.suffix else ''}"
    )
