"""GSD files of HOOMD-blue's schema: https://gsd.readthedocs.io/en/stable/schema-hoomd.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gsd.fl
import numpy as np
from numpy.typing import NDArray

from daskglass.errors import TrajectoryError
from daskglass.trajectories import DamagedLaterError, Scan, Snapshot
from daskglass.trajectories.compression import check_unpacked
from daskglass.trajectories.gsd_index import LOGGED, TIMESTEP, checked_names, damaged

STEP, DIMENSIONS, BOX = "configuration/step", "configuration/dimensions", "configuration/box"
NUMBER, TYPES, TYPEID = "particles/N", "particles/types", "particles/typeid"
POSITION, IMAGE = "particles/position", "particles/image"
DEFAULTS: dict[str, NDArray[Any]] = {
    STEP: np.zeros(1, np.uint64),
    DIMENSIONS: np.full(1, 3, np.uint8),
    BOX: np.array([1, 1, 1, 0, 0, 0], np.float32),
    NUMBER: np.zeros(1, np.uint32),
    TYPES: np.array([[ord("A"), 0]], np.int8),
}
POSITION_BYTES = 3 * np.dtype(np.float32).itemsize
MOST_TYPES = 127
HOOMD = "HOOMD-blue"  # beginning of the application name in files written by HOOMD-blue itself


@dataclass(frozen=True)
class _File:
    """An open file with a checked index; other frames fall back to the values of frame 0.

    `images` is True for frames whose periodic images are known.
    """

    path: Path
    handle: gsd.fl.GSDFile
    first: Mapping[str, NDArray[Any]]
    names: frozenset[str]
    quantities: Mapping[str, str]
    images: NDArray[np.bool_]


def scan(path: Path) -> Scan:
    """Read everything but positions; see `daskglass.trajectories.Format`.

    Raises
    ------
    TrajectoryError
        If the file is missing, unreadable, damaged, cut short, without frames, or its box is not three-dimensional and
        orthorhombic; if the number or types of particles change, or a quantity is logged only in some frames. It is a
        `DamagedLaterError` if complete frames precede the fault.
    """
    with _opened(path) as file:
        types = _types(file)
        typeid = _typeid(file, 0, types)
        steps: list[int] = []
        boxes: list[NDArray[np.float64]] = []
        damage: TrajectoryError | None = None
        for frame in range(file.handle.nframes):
            try:
                _check_particles(file, frame)
                _quantities(file, frame)
                step, box = _step(file, frame), _box(file, frame)
            except TrajectoryError as error:
                if not frame:
                    raise
                damage = error
                break
            steps.append(step)
            boxes.append(box)
        images = bool(file.images[: len(steps)].all())
        whole = Scan(np.array(steps, np.int64), np.array(boxes), types, typeid, images, tuple(file.quantities))
        if damage is not None:
            raise DamagedLaterError(damage, whole) from damage
        return whole


def frames(path: Path, start: int, stop: int, offsets: Sequence[int] = ()) -> Iterator[Snapshot]:
    """Read frames `start` to `stop`, one at a time; `offsets` are not used.

    Raises
    ------
    TrajectoryError
        As `scan` does, and if `stop` is beyond the last frame.
    """
    with _opened(path) as file:
        if file.handle.nframes < stop:
            raise TrajectoryError(f"has {file.handle.nframes} frames, expected {stop}", file=path)
        types = _types(file)
        typeid = _typeid(file, 0, types)
        for frame in range(start, stop):
            _check_particles(file, frame)
            box = _box(file, frame)
            position = _per_particle(file, frame, POSITION)
            yield Snapshot(
                index=frame,
                step=_step(file, frame),
                box=box,
                position=position.astype(np.float32, copy=False),
                image=_per_particle(file, frame, IMAGE) if file.images[frame] else None,
                types=types,
                typeid=_typeid(file, frame, types) if file.handle.chunk_exists(frame, TYPEID) else typeid,
                quantities=_quantities(file, frame),
            )


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    names = checked_names(path)
    try:
        handle = gsd.fl.open(str(path), "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise damaged(path, f"the GSD library cannot open it, {error!r}") from error
    with handle:
        if handle.nframes == 0:
            raise TrajectoryError("has no frames", file=path)
        first = {name: _read(path, handle, 0, name, default) for name, default in DEFAULTS.items()}
        if first[NUMBER].shape != (1,) or first[NUMBER][0] == 0:
            raise TrajectoryError("has no particles", file=path, frame=0)
        n = int(first[NUMBER][0])
        _check_sizes(path, handle, n)
        for name, default, shape in (
            (TYPEID, np.uint32(0), (n,)),
            (POSITION, np.float32(0), (n, 3)),
            (IMAGE, np.int32(0), (n, 3)),
        ):
            first[name] = _read(path, handle, 0, name, np.broadcast_to(default, shape))
        quantities = {name: key for name, key in LOGGED.items() if key in names}
        yield _File(path, handle, first, names, quantities, _images(path, handle))


def _check_sizes(path: Path, handle: gsd.fl.GSDFile, n: int) -> None:
    """Compare the declared sizes with the size of the file, before allocating anything."""
    if n > 1 and not handle.chunk_exists(0, POSITION):
        raise TrajectoryError(f"no {POSITION} for {n} particles", file=path, frame=0, remedy="write their positions")
    # frames without positions repeat those of frame 0, and take no space in the file
    expanded = n * POSITION_BYTES * handle.nframes
    check_unpacked(path, expanded, path.stat().st_size, "write the positions of every frame")


def _images(path: Path, handle: gsd.fl.GSDFile) -> NDArray[np.bool_]:
    """For each frame, whether its periodic images are known; from the whole file, so that any range agrees.

    HOOMD-blue writes images only in frame 0 unless `dynamic` asks for them, although by the schema frame 0 then gives the
    values of all frames. The gsd package follows the schema: it omits what equals frame 0.
    """
    known = np.array([handle.chunk_exists(frame, IMAGE) for frame in range(handle.nframes)])
    if known[1:].any():
        known[0] = True
        try:
            known |= not handle.application.startswith(HOOMD)
        except UnicodeDecodeError as error:
            raise damaged(path, "the application name is not text") from error
    return known


def _read(path: Path, handle: gsd.fl.GSDFile, frame: int, name: str, otherwise: NDArray[Any]) -> NDArray[Any]:
    if not handle.chunk_exists(frame, name):
        return otherwise
    try:
        return np.asarray(handle.read_chunk(frame, name))
    except (OSError, RuntimeError, ValueError) as error:
        raise damaged(path, f"{name} cannot be read, {error!r}", frame) from error


def _value(file: _File, frame: int, name: str) -> NDArray[Any]:
    return _read(file.path, file.handle, frame, name, file.first[name])


def _per_particle(file: _File, frame: int, name: str) -> NDArray[Any]:
    values, n = _value(file, frame, name), int(file.first[NUMBER][0])
    if len(values) != n:
        raise damaged(file.path, f"{name} has {len(values)} rows for {n} particles", frame)
    return values


def _number(file: _File, frame: int, name: str) -> int | float:
    if not file.handle.chunk_exists(frame, name):
        raise TrajectoryError(
            f"{name} is missing, but logged in other frames",
            file=file.path,
            frame=frame,
            remedy="log it in all frames or in none",
        )
    values = _read(file.path, file.handle, frame, name, np.empty(0))
    if values.shape != (1,):
        raise TrajectoryError(f"{name} has {values.size} values, expected 1", file=file.path, frame=frame)
    number: int | float = values[0].item()
    return number


def _quantities(file: _File, frame: int) -> dict[str, float]:
    return {name: float(_number(file, frame, key)) for name, key in file.quantities.items()}


def _step(file: _File, frame: int) -> int:
    name = TIMESTEP if TIMESTEP in file.names else STEP
    written = _value(file, frame, STEP)[0].item()
    step = _number(file, frame, name) if name == TIMESTEP else written
    # a frame without a step has the step of frame 0
    if step != written and file.handle.chunk_exists(frame, STEP):
        raise TrajectoryError(
            f"{TIMESTEP} is {step}, but {STEP} is {written}",
            file=file.path,
            frame=frame,
            remedy="write only one, or make them agree",
        )
    if not 0 <= step < 2**63 or step != int(step):
        raise TrajectoryError(f"{name} is {step}, not a number of time steps", file=file.path, frame=frame)
    return int(step)


def _box(file: _File, frame: int) -> NDArray[np.float64]:
    box, dimensions = _value(file, frame, BOX), _value(file, frame, DIMENSIONS)
    edges = box[:3].astype(np.float32).astype(np.float64)
    if box.shape != (6,) or dimensions.tolist() != [3] or not (np.isfinite(edges) & (edges > 0)).all() or box[3:].any():
        raise TrajectoryError(
            f"box {[round(edge, 6) for edge in box.tolist()]} of {dimensions.tolist()[0]} dimensions; only "
            "three-dimensional orthorhombic boxes are supported, with three positive edges and no tilt",
            file=file.path,
            frame=frame,
        )
    return edges


def _types(file: _File) -> tuple[str, ...]:
    rows = file.first[TYPES].reshape(len(file.first[TYPES]), -1)
    try:
        types = tuple(row.tobytes().partition(b"\0")[0].decode() for row in rows)
    except UnicodeDecodeError as error:
        raise damaged(file.path, "a particle type is not text") from error
    if not all(types) or len(set(types)) < len(types) or not 0 < len(types) <= MOST_TYPES:
        raise TrajectoryError(
            f"particle types {list(types)}: expected 1 to {MOST_TYPES} different names", file=file.path
        )
    return types


def _typeid(file: _File, frame: int, types: Sequence[str]) -> NDArray[np.int8]:
    typeid = _per_particle(file, frame, TYPEID)
    if typeid.max() >= len(types):
        particle = int(np.argmax(typeid))
        raise TrajectoryError(
            f"particle {particle} is of type {typeid[particle]}, but {TYPES} of frame 0 has {len(types)} names",
            file=file.path,
            frame=frame,
            remedy="name every type",
        )
    return typeid.astype(np.int8)


def _check_particles(file: _File, frame: int) -> None:
    number, types = _value(file, frame, NUMBER), _value(file, frame, TYPES)
    if not np.array_equal(number, file.first[NUMBER]):
        raise TrajectoryError(
            f"{number.tolist()[0]} particles, but {file.first[NUMBER][0]} in frame 0",
            file=file.path,
            frame=frame,
            remedy="write the same particles in every frame",
        )
    if not np.array_equal(types, file.first[TYPES]):
        raise TrajectoryError("the particle types differ from those of frame 0", file=file.path, frame=frame)
