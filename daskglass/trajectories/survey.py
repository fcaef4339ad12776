"""What a file is, before its positions are read: its identity, its frames, and whether it continues one known before."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from daskglass.errors import TrajectoryError
from daskglass.trajectories import DamagedLaterError, Format, Snapshot

END = 1_000_000  # bytes at either end of a file that are hashed


class Survey(BaseModel):
    """A file of equally spaced frames.

    Attributes
    ----------
    size, modified : bytes, and time of the last change in ns
    sha256 : of the first and the last megabyte
    frames, first_step, interval : number of frames, time steps of the first, and between two
    particles, types : their number, and the names of their types
    species : hash of the type of every particle
    box, box_varies : edges of the first frame, σ, and whether those of later frames differ
    shortest : shortest edge of any frame, σ
    images : whether periodic images are known
    quantities : what is logged with each frame
    offsets : where frames begin, for formats that need it
    content : hash of what was read first under this name; kept while the file only grows
    last : hash of the last frame
    damage : what is wrong after these frames; empty where nothing is
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    size: int
    modified: int
    sha256: str
    frames: int
    first_step: int
    interval: int
    particles: int
    types: tuple[str, ...]
    species: str
    box: tuple[float, float, float]
    box_varies: bool
    shortest: float
    images: bool
    quantities: tuple[str, ...]
    offsets: tuple[int, ...]
    content: str
    last: str
    damage: str = ""

    @property
    def grew(self) -> bool:
        """Whether the file was known before, shorter."""
        return self.content != _identity(self.size, self.modified, self.sha256)

    def inputs(self) -> dict[str, str]:
        """What the survey is of, as the ledger compares it."""
        return {"size": str(self.size), "modified": str(self.modified)}

    def is_of(self, path: Path) -> bool:
        """Whether a file is unchanged, by its size and the time of its last change."""
        return path.is_file() and (self.size, self.modified) == _stat(path)


def survey_file(path: Path, format: Format, known: Survey | None = None) -> Survey:
    """Read what a file holds, all but its positions; `known` is what it held before.

    A fault after whole frames is kept as the `damage` of the survey: whoever needs more frames must raise it.

    Raises
    ------
    TrajectoryError
        If the file cannot be read, or its frames are not equally spaced in time; naming file and frame.
    """
    if known is not None and known.is_of(path):
        return known
    if not path.is_file():
        raise TrajectoryError(f"{path}: no such file")
    size, modified = _stat(path)
    sha256 = _ends(path)
    damage = ""
    try:
        scan = format.scan(path)
    except DamagedLaterError as error:
        scan, damage = error.whole, str(error)
    frames = scan.steps.size
    last = _fingerprint(_frame(path, format, frames - 1, scan.offsets))
    content = _identity(size, modified, sha256)
    if known is not None and frames > known.frames and _continues(path, format, known, scan.steps, scan.offsets):
        content = known.content
    return Survey(
        size=size,
        modified=modified,
        sha256=sha256,
        frames=frames,
        first_step=int(scan.steps[0]),
        interval=_interval(path, scan.steps),
        particles=scan.typeid.size,
        types=scan.types,
        species=_hash(np.array([scan.types[code] for code in scan.typeid])),
        box=(float(scan.boxes[0, 0]), float(scan.boxes[0, 1]), float(scan.boxes[0, 2])),
        shortest=float(scan.boxes.min()),
        box_varies=bool((scan.boxes != scan.boxes[0]).any()),
        images=scan.images,
        quantities=scan.quantities,
        offsets=tuple(int(offset) for offset in scan.offsets),
        content=content,
        last=last,
        damage=damage,
    )


def _identity(size: int, modified: int, sha256: str) -> str:
    return f"{size}-{modified}-{sha256}"


def _continues(path: Path, format: Format, known: Survey, steps: NDArray[np.int64], offsets: tuple[int, ...]) -> bool:
    """Whether the last frame known before is there still, at the same place, bit for bit."""
    same = int(steps[0]) == known.first_step and steps.size > 1 and int(steps[1] - steps[0]) == known.interval
    return same and _fingerprint(_frame(path, format, known.frames - 1, offsets)) == known.last


def _interval(path: Path, steps: NDArray[np.int64]) -> int:
    """Time steps between two frames, the same throughout."""
    intervals = np.diff(steps)
    if intervals.size == 0:
        return 0
    wrong = np.flatnonzero((intervals != intervals[0]) | (intervals <= 0))
    if wrong.size:
        # where some go back in time, the gap before them is no missing frame
        back = np.flatnonzero(intervals < 0)
        k = int((back if back.size else wrong)[0])
        before, step = int(steps[k]), int(steps[k + 1])
        if step == before:
            what = f"is at time step {step}, as frame {k} is: one of them is repeated, take it out"
        elif step < before:
            what = f"is at time step {step}, before frame {k} at {before}: put the frames in order"
        else:
            what = (
                f"is at time step {step}, {before + int(intervals[0])} is expected: frames are missing, or not equally "
                "spaced; write the equally spaced ones into a file of their own"
            )
        raise TrajectoryError(f"{path}: frame {k + 1} {what}")
    return int(intervals[0])


def _frame(path: Path, format: Format, index: int, offsets: tuple[int, ...]) -> Snapshot:
    return next(iter(format.frames(path, index, index + 1, offsets)))


def _fingerprint(frame: Snapshot) -> str:
    image = np.zeros(0) if frame.image is None else frame.image
    return _hash(np.int64(frame.step), frame.box, frame.position, image, frame.typeid)


def _hash(*arrays: np.ndarray | np.generic) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _ends(path: Path) -> str:
    """SHA-256 of the first and the last megabyte of a file."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            digest.update(file.read(END))
            file.seek(max(END, path.stat().st_size - END))
            digest.update(file.read(END))
    except OSError as error:
        raise TrajectoryError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _stat(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
