"""Frames of a file as the store holds them: checked, of known species, unwrapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daskglass.errors import TrajectoryError
from daskglass.study.settings import Images
from daskglass.trajectories import Format, Snapshot

OUTSIDE = 0.1  # of an edge: how far engines that wrap only now and then let particles drift out of the box
FAR = 0.4  # of an edge: particles that move farther between two frames cannot be followed by the minimum image


@dataclass(frozen=True)
class Frames:
    """Successive frames: `position` (time, particle, 3) in σ, unwrapped; `step` (time,), `box` (time, 3), quantities."""

    position: NDArray[np.float32]
    step: NDArray[np.int64]
    box: NDArray[np.float64]
    quantities: dict[str, NDArray[np.float64]]


def read_frames(
    path: Path,
    format: Format,
    start: int,
    stop: int,
    species: NDArray[np.int8],
    names: Sequence[str],
    offsets: Sequence[int] = (),
    before: NDArray[np.float32] | None = None,
    images: Images = "checked",
) -> Frames:
    """Read frames `start` to `stop` of a file, unwrapped by their images, or by the minimum image from frame to frame.

    Particles come in the order of `species`: the k-th particle of a species in frame 0 of the file is the k-th of that
    species there, in every frame. A file that has them in that order keeps its own.

    Parameters
    ----------
    path, format : the file
    start, stop : first frame, and the one after the last
    species : (particle,) codes of the run, of as many particles of each species as every frame must have
    names : of the species, in the order of their codes
    offsets : of the file's scan
    before : (particle, 3) unwrapped positions of frame `start` − 1; needed where there are no images and start > 0
    images : of the file: "checked", no particle moves by 0.4 of the box or more from frame to frame by them; "trusted",
        of files that the engines wrote; "ignored", as if the file had none

    Raises
    ------
    TrajectoryError
        Naming the file, the frame, and what is wrong with it.
    """
    follow = start > 0 and (before is not None or images == "checked")
    snapshots: Iterable[Snapshot] = format.frames(path, start - follow, stop, offsets)
    if images == "ignored":
        snapshots = map(_without_image, snapshots)
    first = next(iter(format.frames(path, 0, 1, offsets)))
    order = _order(path, first, species, names)
    inverse = np.argsort(order)
    before = None if before is None else before[inverse]
    snapshots = _checked(path, _same_particles(path, first, snapshots), species[inverse], names)
    positions = np.empty((stop - start, species.size, 3), np.float32)
    shift = np.empty((species.size, 3))  # in double precision, and so is the sum before it is rounded
    steps = np.empty(stop - start, np.int64)
    boxes = np.empty((stop - start, 3))
    quantities: dict[str, list[float]] = {}
    for snapshot, image in _images(path, snapshots, before, images == "checked"):
        k = snapshot.index - start
        if k < 0:
            continue
        np.multiply(image[order], snapshot.box, out=shift)
        np.add(shift, snapshot.position[order], out=positions[k], casting="same_kind")
        steps[k], boxes[k] = snapshot.step, snapshot.box
        for name, value in snapshot.quantities.items():
            quantities.setdefault(name, []).append(value)
    return Frames(positions, steps, boxes, {name: np.array(values) for name, values in quantities.items()})


def species_codes(
    path: Path,
    types: Sequence[str],
    typeid: NDArray[np.int8],
    names: Sequence[str],
    elements: Sequence[str] = (),
) -> NDArray[np.int8]:
    """Codes among `names` of particles given by codes among `types`, each of which may be called by an element too.

    Types or elements that are all called as species are those; else types called 1, 2, … are the species in order.

    Raises
    ------
    TrajectoryError
        If a type is none of the species, or types and elements are both called as species, each otherwise.
    """
    if elements and set(elements) <= set(names):
        if set(types) <= set(names) and list(types) != list(elements):
            raise TrajectoryError(
                f"{path}: types {list(types)} are elements {list(elements)}, and both name species of the system, "
                f"{list(names)}: write one of the two columns"
            )
        types = elements
    numbered = [str(k + 1) for k in range(len(names))]
    known = numbered if set(types) <= set(numbered) and not set(types) <= set(names) else list(names)
    if unknown := sorted(set(types) - set(known)):
        raise TrajectoryError(
            f"{path}: holds particles of type {unknown[0]!r}; the species of the system are {list(names)}: "
            "name them as the file does, in `species:` of the system"
        )
    return np.array([known.index(name) for name in types], np.int8)[typeid]


def _order(path: Path, first: Snapshot, species: NDArray[np.int8], names: Sequence[str]) -> NDArray[np.intp]:
    """Particle of the file for each particle of the run: those of a species one after another, as they come."""
    codes = species_codes(path, first.types, first.typeid, names, first.elements)
    _check_number(path, first, species)
    for code, name in enumerate(names):
        here, expected = int((codes == code).sum()), int((species == code).sum())
        if here != expected:
            raise TrajectoryError(
                f"{first.where(path)}: holds {here} particles of species {name}, {expected} are expected, as in the "
                "other files: make files of another composition a system of their own"
            )
    order = np.empty(species.size, np.intp)
    order[np.argsort(species, kind="stable")] = np.argsort(codes, kind="stable")
    return order


def _check_number(path: Path, snapshot: Snapshot, species: NDArray[np.int8]) -> None:
    if snapshot.typeid.size != species.size:
        raise TrajectoryError(
            f"{snapshot.where(path)}: holds {snapshot.typeid.size} particles, {species.size} are expected: "
            "make files of another number of particles a system of their own"
        )


def _outside(snapshot: Snapshot) -> NDArray[np.bool_]:
    """Coordinates that are outside the box, by more than engines let them drift; what is not finite is judged elsewhere."""
    position: NDArray[np.float32] = snapshot.position
    return (np.abs(position) > snapshot.box * (0.5 + OUTSIDE)) & np.isfinite(position)


def _without_image(snapshot: Snapshot) -> Snapshot:
    """Ignore images; where there are any, put what is outside the box back into it."""
    if snapshot.image is None or not (outside := _outside(snapshot)).any():
        return replace(snapshot, image=None)
    position = snapshot.position.copy()
    boxes = np.rint(position / snapshot.box) * snapshot.box
    position[outside] = (position - boxes)[outside]
    return replace(snapshot, image=None, position=position)


def _check_inside(path: Path, snapshot: Snapshot) -> None:
    """Refuse positions outside the box where images are known: whether they are unwrapped already is not."""
    if (outside := _outside(snapshot)).any():
        particle = int(np.argmax(outside.any(axis=1)))
        raise TrajectoryError(
            f"{snapshot.where(path)}: particle {particle} at {[round(x, 4) for x in snapshot.position[particle].tolist()]} "
            f"is outside the box {[round(edge, 4) for edge in snapshot.box.tolist()]}: files with images must hold wrapped "
            "positions; `ignore_images: true` under source.trajectories, or --ignore-images, puts them back into the box and "
            "follows the nearest image"
        )


def _same_particles(path: Path, first: Snapshot, snapshots: Iterable[Snapshot]) -> Iterator[Snapshot]:
    """Refuse frames in which particles are called otherwise than in the first."""
    for snapshot in snapshots:
        if snapshot.ids is not None and (first.ids is None or not np.array_equal(first.ids, snapshot.ids)):
            raise TrajectoryError(
                f"{snapshot.where(path)}: particle ids differ from those of frame 0: "
                "write the same particles in every frame"
            )
        yield snapshot


def _checked(
    path: Path, snapshots: Iterable[Snapshot], species: NDArray[np.int8], names: Sequence[str]
) -> Iterator[Snapshot]:
    """Refuse frames of other particles, and positions that are not finite."""
    for snapshot in snapshots:
        where = snapshot.where(path)
        codes = species_codes(path, snapshot.types, snapshot.typeid, names, snapshot.elements)
        _check_number(path, snapshot, species)
        if (changed := codes != species).any():
            particle = int(np.argmax(changed))
            raise TrajectoryError(
                f"{where}: particle {particle} is of species {names[codes[particle]]}, {names[species[particle]]} is "
                "expected as in frame 0: a particle must be of the same species in every frame"
            )
        if not (finite := np.isfinite(snapshot.position)).all():
            particle = int(np.argmin(finite)) // 3
            frames = "take the frames before it alone, by `frames:` under source.trajectories or --frames, or "
            raise TrajectoryError(
                f"{where}: position of particle {particle} is not finite: "
                f"{frames if snapshot.index else ''}leave the file out"
            )
        yield snapshot


def _images(
    path: Path, snapshots: Iterable[Snapshot], before: NDArray[np.float32] | None, check: bool
) -> Iterator[tuple[Snapshot, NDArray[np.int32]]]:
    """Every frame with its periodic images: of the file, or such that no particle moves half a box between frames.

    Frames without images go on from the frame before, which may have the file's.
    Where the box changes, fractions of its edges are followed: wrapping the positions then gives the file's again.
    """
    last: Snapshot | None = None
    image: NDArray[np.int32] | None = None
    for snapshot in snapshots:
        if snapshot.image is not None:
            _check_inside(path, snapshot)
            if check and last is not None and image is not None:
                _check_images(path, last, image, snapshot)
            image = snapshot.image
        elif last is not None and image is not None:
            image = image - _crossed(path, last, snapshot)
        elif before is not None:
            image = np.rint((before - snapshot.position) / snapshot.box).astype(np.int32)
        else:
            image = np.zeros(snapshot.position.shape, np.int32)
        last = snapshot
        yield snapshot, image


def _crossed(path: Path, last: Snapshot, now: Snapshot) -> NDArray[np.int32]:
    """Number of faces of the box that each particle crossed since the frame before, against its direction."""
    moved = _moved(last, now)
    crossed = np.rint(moved)
    far = np.abs(np.where(np.abs(crossed) > 1, moved, moved - crossed)).max(axis=1)
    if far.max(initial=0.0) >= FAR:
        particle = int(np.argmax(far))
        raise TrajectoryError(
            f"{now.where(path)}: particle {particle} moved by {far[particle]:.2f} of the box since "
            "the frame before, too far to be followed across its faces: write images, or frames more often"
        )
    return crossed.astype(np.int32)


def _check_images(path: Path, last: Snapshot, image: NDArray[np.int32], now: Snapshot) -> None:
    """Refuse images of a file by which a particle leaps: they began again, or are not of these positions."""
    assert now.image is not None
    moved = _moved(last, now)
    nearest = moved - np.rint(moved)
    moved += now.image.astype(np.float64) - image
    if np.abs(moved).max(initial=0.0) >= FAR:
        particle = int(np.argmax(np.abs(moved).max(axis=1)))
        axis = int(np.argmax(np.abs(moved[particle])))
        raise TrajectoryError(
            f"{now.where(path)}: particle {particle} moved by {moved[particle, axis]:.2f} of the box along "
            f"{'xyz'[axis]} since the frame before by its images, by {nearest[particle, axis]:.2f} to its nearest image: "
            "where images start again, as after a restart without them, `ignore_images: true` under source.trajectories, or "
            "--ignore-images, follows the nearest image instead; where it moved so far indeed, write frames more often"
        )


def _moved(last: Snapshot, now: Snapshot) -> NDArray[np.float64]:
    """Displacement of wrapped positions since the frame before, in fractions of the edges, (particle, 3)."""
    moved: NDArray[np.float64] = now.position / now.box - last.position / last.box
    return moved
