"""Survey of a trajectory without its positions: identity, frames, and whether it continues an earlier one."""

from __future__ import annotations

import hashlib
import shlex
import stat
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from daskglass.errors import TrajectoryError
from daskglass.trajectories import DamagedLaterError, Format, Scan, Snapshot
from daskglass.trajectories.several_files import Part, Parts, file_of

END = 1_000_000  # bytes at either end of a file that are hashed
VERSION = "2"  # of the contents of a survey
SHORTEST = 2.0  # edge of a box, σ, across which a particle would meet itself
PACKED = {".gz", ".bz2", ".xz", ".zst"}
ROUNDING = 1e-4  # of times in a file


class Survey(BaseModel):
    """A trajectory: a file, or several.

    Attributes
    ----------
    size, modified : bytes, and time of the last change in ns
    sha256 : of the first and the last megabyte; for several files, also of their sizes and times of change
    frames, first_step, interval : number of frames, time steps of the first, and between two
    uneven : time steps of all frames, where they are not equally far apart; else empty
    particles, types : their number, and the names of their types
    counts : number of particles of each type, in the order of `types`; empty in old ledgers
    elements : a second name of each type, if any
    box, box_varies : edges of the first frame, σ, and whether they change later
    shortest : shortest edge of any frame, σ
    images : whether periodic images are known
    quantities : logged with each frame
    offsets : start of each frame, for formats that need it
    timestep : τ per time step, from the times in the file; None without times
    content : hash of the first version of the file; kept while the file only grows
    last : hash of the last frame
    parts : the files, if there are several
    damage : fault after these frames; empty if there is none
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    size: int
    modified: int
    sha256: str
    frames: int
    first_step: int
    interval: int
    uneven: tuple[int, ...] = ()
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
    parts: tuple[Part, ...] = ()

    @property
    def grew(self) -> bool:
        """Whether the file was known before, shorter."""
        return self.content != _identity(self.size, self.modified, self.sha256)

    @property
    def elapsed(self) -> NDArray[np.int64]:
        """Time steps since the first frame, (frame,)."""
        if self.uneven:
            return np.array(self.uneven, np.int64) - self.first_step
        return np.arange(self.frames) * self.interval

    def inputs(self) -> dict[str, str]:
        """Identity of the file, for the ledger."""
        return {"size": str(self.size), "modified": str(self.modified), "sha256": self.sha256, "survey": VERSION}

    def is_of(self, path: Path) -> bool:
        """Whether the files are unchanged, by size and time of the last change."""
        if self.parts:
            return all(state_of(file_of(path, part.step)) == (part.size, part.modified) for part in self.parts)
        return state_of(path) == (self.size, self.modified)

    def is_whole(self, path: Path, steps: Sequence[str] = (), even: bool = True) -> bool:
        """Whether it is all that is to be known of these files: they are unchanged, and none came or went."""
        return bool(self.counts) and self._has(steps) and self.is_of(path) and not (even and self.uneven)

    def _has(self, steps: Sequence[str]) -> bool:
        return [part.step for part in self.parts] == list(steps)

    def around(self, start: int, stop: int) -> Survey:
        """Keep only the files with frames `start` to `stop`, the frame before them, and frame 0."""
        ends = [part.first for part in self.parts[1:]] + [self.frames]
        wanted = ((0, 1), (max(start - 1, 0), stop))
        parts = (
            part
            for part, end in zip(self.parts, ends, strict=bool(self.parts))
            if any(part.first < high and low < end for low, high in wanted)
        )
        return self.model_copy(update={"parts": tuple(parts)})


def survey_file(
    path: Path, format: Format, known: Survey | None = None, steps: Sequence[str] = (), even: bool = True
) -> Survey:
    """Read everything but the positions of a trajectory.

    A fault after complete frames becomes the `damage` of the survey; callers that need more frames must raise it.

    Parameters
    ----------
    path : the file; for several, with `{step}` in place of the `steps`
    format : of each file
    known : earlier survey
    steps : for several files, the time steps as spelled in their names, rising
    even : whether frames must be equally spaced in time

    Raises
    ------
    TrajectoryError
        If a file cannot be read, or frames are not equally spaced in time, or do not follow each other where they need not be.
    """
    if known is not None and known.is_whole(path, steps, even):
        return known
    same = known is not None and known._has(steps) and known.is_of(path)
    files = [file_of(path, step) for step in steps] or [path]
    states = [_state(file) for file in files]
    size, modified = sum(size for size, _ in states), max(modified for _, modified in states)
    sha256 = _hash_of(_ends(files[0]), _ends(files[-1]), tuple(steps), states) if steps else _ends(path)
    damage = ""
    try:
        scan = (Parts(format, steps) if steps else format).scan(path)
    except DamagedLaterError as error:
        scan, damage = error.whole, str(error)
    parts = tuple(
        Part(step, *state, first) for step, state, first in zip(steps, states, scan.firsts, strict=bool(steps))
    )
    reader = Parts(format, steps, scan.firsts) if steps else format
    frames = scan.steps.size
    frame = _frame(path, reader, frames - 1, scan.offsets)
    _check_three_dimensional(path, frame)
    last = _fingerprint(frame)
    uneven = () if even else _uneven(scan.steps)
    content = _identity(size, modified, sha256)
    longer = known is not None and frames > known.frames
    if known is not None and (same or (longer and _continues(path, reader, known, scan, parts))):
        content = known.content
    return Survey(
        size=size,
        modified=modified,
        sha256=sha256,
        frames=frames,
        first_step=int(scan.steps[0]),
        interval=0 if uneven else _interval(path, scan.steps, scan.offsets, parts),
        uneven=uneven,
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
        parts=parts,
    )


def _identity(size: int, modified: int, sha256: str) -> str:
    return f"{size}-{modified}-{sha256}"


def _continues(path: Path, reader: Format, known: Survey, scan: Scan, parts: Sequence[Part]) -> bool:
    """Whether the last frame of the earlier survey is unchanged, and all files before it."""
    steps = scan.steps
    same = int(steps[0]) == known.first_step and steps.size > 1 and int(steps[1] - steps[0]) == known.interval
    # the last known file may have grown
    same &= known.parts[:-1] == tuple(parts[: len(known.parts[:-1])]) and len(known.parts) <= len(parts)
    return same and _fingerprint(_frame(path, reader, known.frames - 1, scan.offsets)) == known.last


def _interval(path: Path, steps: NDArray[np.int64], offsets: Sequence[int], parts: Sequence[Part] = ()) -> int:
    """Time steps between two frames, the same throughout."""
    intervals = np.diff(steps)
    if intervals.size == 0:
        return 0
    wrong = np.flatnonzero((intervals != intervals[0]) | (intervals <= 0))
    if wrong.size and parts:
        k = int(wrong[0])
        one, other = (f"frame {index} ({_file_of_frame(path, parts, index)})" for index in (k, k + 1))
        expected = f"expected {steps[k] + intervals[0]}" if intervals[0] > 0 else "expected a later one"
        raise TrajectoryError(
            f"{other} is at time step {steps[k + 1]}, {one} is at {steps[k]}; {expected}: files are missing, or "
            "frames are repeated or not equally spaced",
            file=path,
            remedy="keep only equally spaced frames under these names",
        )
    if not intervals.any():
        raise TrajectoryError(
            f"all {steps.size} frames are at time step {steps[0]}",
            file=path,
            remedy=f"set {'ITEM: TIMESTEP' if offsets else 'frame.configuration.step'} when writing frames; if they are "
            f"INTERVAL time steps apart, number them with {_numbering(path, offsets)}",
        )
    if wrong.size:
        # if some go back in time, the gap before them is not a missing frame
        back = np.flatnonzero(intervals < 0)
        k = int((back if back.size else wrong)[0])
        before, step = int(steps[k]), int(steps[k + 1])
        if step == before:
            what, remedy = f"like frame {k}", "remove the repeated frame"
        elif step < before:
            repeated = np.flatnonzero(steps[: k + 1] == step)
            again = f"keep one copy of frames {repeated[0]} to {k}; " if repeated.size else ""
            what = f"before frame {k} at {before}: a restart or a second run begins here"
            remedy = f"{again}split the file with {_splitting(path, k + 1, offsets)}"
        else:
            what = f"expected {before + int(intervals[0])}: frames are missing or not equally spaced"
            remedy = "write equally spaced frames to a separate file"
        raise TrajectoryError(f"is at time step {step}, {what}", file=path, frame=k + 1, remedy=remedy)
    return int(intervals[0])


def _uneven(steps: NDArray[np.int64]) -> tuple[int, ...]:
    """Time steps of frames that rise but not evenly; empty where `_interval` knows what to say of them."""
    intervals = np.diff(steps)
    rise = intervals.size > 0 and bool((intervals > 0).all())
    return tuple(steps.tolist()) if rise and (intervals != intervals[0]).any() else ()


def _file_of_frame(path: Path, parts: Sequence[Part], index: int) -> Path:
    return file_of(path, parts[bisect_right([part.first for part in parts], index) - 1].step)


def _check_three_dimensional(path: Path, frame: Snapshot) -> None:
    flat = np.ptp(frame.position, axis=0) == 0
    if flat.any() and len(frame.position) > 1:
        axis = int(np.argmax(flat))
        raise frame.error(
            path,
            f"all particles are at {'xyz'[axis]} = {frame.position[0, axis]:g}; only three-dimensional systems are "
            "supported",
        )
    if frame.box.min() < SHORTEST:
        raise frame.error(
            path,
            f"the box is {frame.box.min():g} σ long along {'xyz'[int(np.argmin(frame.box))]}, expected at least "
            f"{SHORTEST:g} σ; only three-dimensional systems with lengths in σ are supported",
        )


def _splitting(path: Path, frame: int, offsets: Sequence[int]) -> str:
    """Command that splits a file at a frame."""
    first, second = (f"{part}{path.suffix}" for part in ("first", "second"))
    if offsets:
        name, end = shlex.quote(str(path)), offsets[frame]
        unpacked = " (after unpacking it)" if path.suffix in PACKED else ""
        return f"`head -c {end} {name} > {first}; tail -c +{end + 1} {name} > {second}`{unpacked}"
    code = f"import gsd.hoomd as g; f = g.open({str(path)!r}); "
    code += f"g.open({first!r}, 'w').extend(f[:{frame}]); g.open({second!r}, 'w').extend(f[{frame}:])"
    return f"`python -c {shlex.quote(code)}`"


def _numbering(path: Path, offsets: Sequence[int]) -> str:
    """Command that numbers the time steps of all frames."""
    new = f"new{path.suffix}"
    if offsets:
        code = "/^ITEM: TIMESTEP/ {print; getline; print n++ * INTERVAL; next} {print}"
        return f"`awk '{code}' {shlex.quote(str(path))} > {new}`"
    code = f"import gsd.hoomd as g; f = g.open({str(path)!r}); new = g.open({new!r}, 'w'); "
    code += "[(setattr(x.configuration, 'step', k * INTERVAL), new.append(x)) for k, x in enumerate(f)]"
    return f"`python -c {shlex.quote(code)}`"


def _timestep(path: Path, steps: NDArray[np.int64], times: NDArray[np.float64]) -> float | None:
    """Time per time step, from the times in a file, constant within rounding."""
    timed = np.flatnonzero(np.isfinite(times))
    if timed.size < 2 or steps[timed[0]] == steps[timed[-1]]:
        return None
    first, last = timed[0], timed[-1]
    timestep = float((times[last] - times[first]) / (steps[last] - steps[first]))
    expected = times[first] + timestep * (steps[timed] - steps[first])
    wrong = np.flatnonzero(
        ~np.isclose(times[timed], expected, rtol=ROUNDING, atol=ROUNDING * abs(times[last] - times[first]))
    )
    if wrong.size:
        k = int(timed[wrong[0]])
        raise TrajectoryError(
            f"TIME is {times[k]:g} at time step {steps[k]}, expected {expected[wrong[0]]:g} between {times[first]:g} "
            f"at time step {steps[first]} and {times[last]:g} at time step {steps[last]}: the time step changed",
            file=path,
            frame=k,
            remedy="write frames with one time step to a separate file",
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


def _hash_of(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _ends(path: Path) -> str:
    """SHA-256 of the first and the last megabyte of a file."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            digest.update(file.read(END))
            file.seek(max(END, path.stat().st_size - END))
            digest.update(file.read(END))
    except OSError as error:
        raise TrajectoryError(f"cannot be read: {error.strerror}", file=path) from error
    return digest.hexdigest()


def _state(path: Path) -> tuple[int, int]:
    state = state_of(path)
    if state is None:
        raise TrajectoryError("no such file", file=path)
    return state


def state_of(path: Path) -> tuple[int, int] | None:
    """Size of a file, and time of its last change; None if there is no file."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
