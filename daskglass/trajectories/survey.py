"""What a file is, before its positions are read: its identity, its frames, and whether it continues one known before."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from daskglass.errors import TrajectoryError
from daskglass.trajectories import DamagedLaterError, Format, Snapshot

END = 1_000_000  # bytes at either end of a file that are hashed
VERSION = "2"  # of what a survey tells
SHORTEST = 2.0  # edge of a box, σ, across which a particle would meet itself
PACKED = {".gz", ".bz2", ".xz", ".zst"}
ROUNDING = 1e-4  # of times that a file tells


class Survey(BaseModel):
    """A file of equally spaced frames.

    Attributes
    ----------
    size, modified : bytes, and time of the last change in ns
    sha256 : of the first and the last megabyte
    frames, first_step, interval : number of frames, time steps of the first, and between two
    particles, types : their number, and the names of their types
    counts : number of particles of each type, in the order of `types`; empty in ledgers of old
    elements : another name of each type, if they have one
    box, box_varies : edges of the first frame, σ, and whether those of later frames differ
    shortest : shortest edge of any frame, σ
    images : whether periodic images are known
    quantities : what is logged with each frame
    offsets : where frames begin, for formats that need it
    timestep : τ per time step, by the times that the file tells; None where it tells none
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
    counts: tuple[int, ...] = ()
    elements: tuple[str, ...] = ()
    box: tuple[float, float, float]
    box_varies: bool
    shortest: float
    images: bool
    quantities: tuple[str, ...]
    offsets: tuple[int, ...]
    content: str
    last: str
    timestep: float | None = None
    damage: str = ""

    @property
    def grew(self) -> bool:
        """Whether the file was known before, shorter."""
        return self.content != _identity(self.size, self.modified, self.sha256)

    def inputs(self) -> dict[str, str]:
        """What the survey is of, as the ledger compares it."""
        return {"size": str(self.size), "modified": str(self.modified), "survey": VERSION}

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
    same = known is not None and known.is_of(path)
    if known is not None and same and known.counts:
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
    frame = _frame(path, format, frames - 1, scan.offsets)
    _check_three_dimensional(path, frame)
    last = _fingerprint(frame)
    content = _identity(size, modified, sha256)
    longer = known is not None and frames > known.frames
    if known is not None and (same or (longer and _continues(path, format, known, scan.steps, scan.offsets))):
        content = known.content
    return Survey(
        size=size,
        modified=modified,
        sha256=sha256,
        frames=frames,
        first_step=int(scan.steps[0]),
        interval=_interval(path, scan.steps, scan.offsets),
        particles=scan.typeid.size,
        types=scan.types,
        elements=scan.elements,
        counts=tuple(np.bincount(scan.typeid, minlength=len(scan.types)).tolist()),
        box=(float(scan.boxes[0, 0]), float(scan.boxes[0, 1]), float(scan.boxes[0, 2])),
        shortest=float(scan.boxes.min()),
        box_varies=bool((scan.boxes != scan.boxes[0]).any()),
        images=scan.images,
        quantities=scan.quantities,
        offsets=tuple(int(offset) for offset in scan.offsets),
        content=content,
        last=last,
        timestep=_timestep(path, scan.steps, scan.times),
        damage=damage,
    )


def _identity(size: int, modified: int, sha256: str) -> str:
    return f"{size}-{modified}-{sha256}"


def _continues(path: Path, format: Format, known: Survey, steps: NDArray[np.int64], offsets: tuple[int, ...]) -> bool:
    """Whether the last frame known before is there still, at the same place, bit for bit."""
    same = int(steps[0]) == known.first_step and steps.size > 1 and int(steps[1] - steps[0]) == known.interval
    return same and _fingerprint(_frame(path, format, known.frames - 1, offsets)) == known.last


def _interval(path: Path, steps: NDArray[np.int64], offsets: Sequence[int]) -> int:
    """Time steps between two frames, the same throughout."""
    intervals = np.diff(steps)
    if intervals.size == 0:
        return 0
    if not intervals.any():
        raise TrajectoryError(
            f"{path}: all {steps.size} frames are at time step {steps[0]}: no frame says its own; set "
            f"{'ITEM: TIMESTEP' if offsets else 'frame.configuration.step'} when frames are written, or, where they are INTERVAL "
            f"time steps apart: {_numbering(path, offsets)}"
        )
    wrong = np.flatnonzero((intervals != intervals[0]) | (intervals <= 0))
    if wrong.size:
        # where some go back in time, the gap before them is no missing frame
        back = np.flatnonzero(intervals < 0)
        k = int((back if back.size else wrong)[0])
        before, step = int(steps[k]), int(steps[k + 1])
        if step == before:
            what = f"is at time step {step}, as frame {k} is: one of them is repeated, take it out"
        elif step < before:
            repeated = np.flatnonzero(steps[: k + 1] == step)
            again = f"frames {repeated[0]} to {k} are repeated: keep them once; " if repeated.size else ""
            what = (
                f"is at time step {step}, before frame {k} at {before}: a restart or a second run begins there; {again}"
                f"split the file: {_splitting(path, k + 1, offsets)}"
            )
        else:
            what = (
                f"is at time step {step}, {before + int(intervals[0])} is expected: frames are missing, or not equally "
                "spaced; write the equally spaced ones into a file of their own"
            )
        raise TrajectoryError(f"{path}: frame {k + 1} {what}")
    return int(intervals[0])


def _check_three_dimensional(path: Path, frame: Snapshot) -> None:
    flat = np.ptp(frame.position, axis=0) == 0
    if flat.any() and len(frame.position) > 1:
        axis = int(np.argmax(flat))
        raise TrajectoryError(
            f"{path}: frame {frame.index}: all particles are at {'xyz'[axis]} = {frame.position[0, axis]:g}: only systems of "
            "three dimensions are supported"
        )
    if frame.box.min() < SHORTEST:
        raise TrajectoryError(
            f"{path}: frame {frame.index}: the box is {frame.box.min():g} σ long along {'xyz'[int(np.argmin(frame.box))]}, "
            f"{SHORTEST:g} σ at least are expected: only systems of three dimensions are supported, with lengths in σ"
        )


def _splitting(path: Path, frame: int, offsets: Sequence[int]) -> str:
    """Command that makes two files of one, the second from a frame on."""
    first, second = (f"{part}{path.suffix}" for part in ("first", "second"))
    if offsets:
        name, end = shlex.quote(str(path)), offsets[frame]
        unpacked = " (of the file, once it is unpacked)" if path.suffix in PACKED else ""
        return f"`head -c {end} {name} > {first}; tail -c +{end + 1} {name} > {second}`{unpacked}"
    code = f"import gsd.hoomd as g; f = g.open({str(path)!r}); "
    code += f"g.open({first!r}, 'w').extend(f[:{frame}]); g.open({second!r}, 'w').extend(f[{frame}:])"
    return f"`python -c {shlex.quote(code)}`"


def _numbering(path: Path, offsets: Sequence[int]) -> str:
    """Command that writes the time step into every frame."""
    new = f"new{path.suffix}"
    if offsets:
        code = "/^ITEM: TIMESTEP/ {print; getline; print n++ * INTERVAL; next} {print}"
        return f"`awk '{code}' {shlex.quote(str(path))} > {new}`"
    code = f"import gsd.hoomd as g; f = g.open({str(path)!r}); new = g.open({new!r}, 'w'); "
    code += "[(setattr(x.configuration, 'step', k * INTERVAL), new.append(x)) for k, x in enumerate(f)]"
    return f"`python -c {shlex.quote(code)}`"


def _timestep(path: Path, steps: NDArray[np.int64], times: NDArray[np.float64]) -> float | None:
    """Time per time step, by the times a file tells, the same throughout but for their rounding."""
    told = np.flatnonzero(np.isfinite(times))
    if told.size < 2 or steps[told[0]] == steps[told[-1]]:
        return None
    first, last = told[0], told[-1]
    timestep = float((times[last] - times[first]) / (steps[last] - steps[first]))
    expected = times[first] + timestep * (steps[told] - steps[first])
    wrong = np.flatnonzero(
        ~np.isclose(times[told], expected, rtol=ROUNDING, atol=ROUNDING * abs(times[last] - times[first]))
    )
    if wrong.size:
        k = int(told[wrong[0]])
        raise TrajectoryError(
            f"{path}: frame {k}: TIME is {times[k]:g} at time step {steps[k]}, {expected[wrong[0]]:g} is expected between "
            f"{times[first]:g} at time step {steps[first]} and {times[last]:g} at time step {steps[last]}: the time step "
            "changed; write frames of one time step into a file of their own"
        )
    return timestep


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
