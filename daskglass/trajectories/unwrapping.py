"""Read frames of a file for the store: checked, with known species, unwrapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daskglass.errors import TrajectoryError
from daskglass.study.settings import Images
from daskglass.trajectories import Format, Snapshot

OUTSIDE = 0.1  # of an edge: distance that engines with infrequent wrapping let particles leave the box
FAR = 0.4  # of an edge: the minimum image cannot follow particles that move farther between two frames


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
    only: Sequence[int] = (),
) -> Frames:
    """Read frames `start` to `stop` of a file, unwrapped by their images, or by the minimum image between frames.

    Particles are returned in the order of `species`: the k-th particle of a species in frame 0 of the file becomes the
    k-th of that species, in every frame.

    Parameters
    ----------
    path, format : the file
    start, stop : first frame, and last frame + 1
    species : (particle,) codes of the run; every frame must have the same number of particles of each species
    names : of the species, in the order of their codes
    offsets : from the file's scan
    before : (particle, 3) unwrapped positions of frame `start` − 1; needed without images if start > 0
    images : "checked": refuse images by which a particle moves 0.4 of the box or more between frames; "trusted": for
        files of the engines; "ignored": unwrap as if the file had none
    only : frames to return, rising, of those that are read; by default all

    Raises
    ------
    TrajectoryError
        If a frame cannot be read, has other particles, or cannot be unwrapped.
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
    places = {index: k for k, index in enumerate(only or range(start, stop))}
    positions = np.empty((len(places), species.size, 3), np.float32)
    shift = np.empty((species.size, 3))  # in double precision, and so is the sum before it is rounded
    steps = np.empty(len(places), np.int64)
    boxes = np.empty((len(places), 3))
    quantities: dict[str, list[float]] = {}
    for snapshot, image in _images(path, snapshots, before, images == "checked"):
        if (k := places.get(snapshot.index)) is None:
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
    """Species code of each particle, from its type or element.

    Types or elements that all have names of species are those species; otherwise types 1, 2, … are the species in order.

    Raises
    ------
    TrajectoryError
        If a type is not a species, or types and elements both name species but disagree.
    """
    if elements and set(elements) <= set(names):
        if set(types) <= set(names) and list(types) != list(elements):
            raise TrajectoryError(
                f"types {list(types)} are elements {list(elements)}, and both name species of the system, {list(names)}",
                file=path,
                remedy="write only one of the two columns",
            )
        types = elements
    numbered = [str(k + 1) for k in range(len(names))]
    known = numbered if set(types) <= set(numbered) and not set(types) <= set(names) else list(names)
    if unknown := sorted(set(types) - set(known)):
        raise TrajectoryError(
            f"has particles of type {unknown[0]!r}, but the species of the system are {list(names)}",
            file=path,
            remedy="list the file's type names in `species:` of the system",
        )
    return np.array([known.index(name) for name in types], np.int8)[typeid]


def _order(path: Path, first: Snapshot, species: NDArray[np.int8], names: Sequence[str]) -> NDArray[np.intp]:
    """Index in the file of each particle of the run; the order within a species is kept."""
    codes = species_codes(path, first.types, first.typeid, names, first.elements)
    _check_number(path, first, species)
    for code, name in enumerate(names):
        here, expected = int((codes == code).sum()), int((species == code).sum())
        if here != expected:
            raise first.error(
                path,
                f"has {here} particles of species {name}, expected {expected} as in the other files",
                remedy="make files of another composition a separate system",
            )
    order = np.empty(species.size, np.intp)
    order[np.argsort(species, kind="stable")] = np.argsort(codes, kind="stable")
    return order


def _check_number(path: Path, snapshot: Snapshot, species: NDArray[np.int8]) -> None:
    if snapshot.typeid.size != species.size:
        raise snapshot.error(
            path,
            f"has {snapshot.typeid.size} particles, expected {species.size}",
            remedy="make files with another number of particles a separate system",
        )


def _outside(snapshot: Snapshot) -> NDArray[np.bool_]:
    """Coordinates farther outside the box than engines allow; non-finite ones are checked elsewhere."""
    position: NDArray[np.float32] = snapshot.position
    return (np.abs(position) > snapshot.box * (0.5 + OUTSIDE)) & np.isfinite(position)


def _without_image(snapshot: Snapshot) -> Snapshot:
    """Ignore images; if there are any, wrap positions outside the box."""
    if snapshot.image is None or not (outside := _outside(snapshot)).any():
        return replace(snapshot, image=None)
    position = snapshot.position.copy()
    boxes = np.rint(position / snapshot.box) * snapshot.box
    position[outside] = (position - boxes)[outside]
    return replace(snapshot, image=None, position=position)


def _check_inside(path: Path, snapshot: Snapshot) -> None:
    """Refuse positions outside the box if images are known: the positions may be unwrapped already."""
    if (outside := _outside(snapshot)).any():
        particle = int(np.argmax(outside.any(axis=1)))
        raise snapshot.error(
            path,
            f"particle {particle} at {[round(x, 4) for x in snapshot.position[particle].tolist()]} is outside the box "
            f"{[round(edge, 4) for edge in snapshot.box.tolist()]}: files with images need wrapped positions",
            remedy="set `ignore_images: true` under source.trajectories, or --ignore-images, to wrap them and follow the "
            "nearest image",
        )


def _same_particles(path: Path, first: Snapshot, snapshots: Iterable[Snapshot]) -> Iterator[Snapshot]:
    """Refuse frames whose particle ids differ from those of the first."""
    for snapshot in snapshots:
        if snapshot.ids is not None and (first.ids is None or not np.array_equal(first.ids, snapshot.ids)):
            raise snapshot.error(
                path, "particle ids differ from those of frame 0", remedy="write the same particles in every frame"
            )
        yield snapshot


def _checked(
    path: Path, snapshots: Iterable[Snapshot], species: NDArray[np.int8], names: Sequence[str]
) -> Iterator[Snapshot]:
    """Refuse frames with other particles, and positions that are not finite."""
    for snapshot in snapshots:
        codes = species_codes(path, snapshot.types, snapshot.typeid, names, snapshot.elements)
        _check_number(path, snapshot, species)
        if (changed := codes != species).any():
            particle = int(np.argmax(changed))
            raise snapshot.error(
                path,
                f"particle {particle} is of species {names[codes[particle]]}, but {names[species[particle]]} in frame 0; "
                "a particle must keep its species",
            )
        if not (finite := np.isfinite(snapshot.position)).all():
            particle = int(np.argmin(finite)) // 3
            frames = "read only the frames before it, by `frames:` under source.trajectories or --frames, or "
            raise snapshot.error(
                path,
                f"position of particle {particle} is not finite",
                remedy=f"{frames if snapshot.index else ''}leave the file out",
            )
        yield snapshot


def _images(
    path: Path, snapshots: Iterable[Snapshot], before: NDArray[np.float32] | None, check: bool
) -> Iterator[tuple[Snapshot, NDArray[np.int32]]]:
    """Every frame with its periodic images: from the file, or by the minimum image from the frame before.

    If the box changes, fractions of its edges are followed, so that wrapping gives the positions of the file again.
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
    """Number of box faces that each particle crossed since the frame before, with opposite sign."""
    moved = _moved(last, now)
    crossed = np.rint(moved)
    far = np.abs(np.where(np.abs(crossed) > 1, moved, moved - crossed)).max(axis=1)
    if far.max(initial=0.0) >= FAR:
        particle = int(np.argmax(far))
        raise now.error(
            path,
            f"particle {particle} moved by {far[particle]:.2f} of the box since the frame before, too far to unwrap",
            remedy="write images, or frames more often",
        )
    return crossed.astype(np.int32)


def _check_images(path: Path, last: Snapshot, image: NDArray[np.int32], now: Snapshot) -> None:
    """Refuse images by which a particle jumps: they were reset, or belong to other positions."""
    assert now.image is not None
    moved = _moved(last, now)
    nearest = moved - np.rint(moved)
    moved += now.image.astype(np.float64) - image
    if np.abs(moved).max(initial=0.0) >= FAR:
        particle = int(np.argmax(np.abs(moved).max(axis=1)))
        axis = int(np.argmax(np.abs(moved[particle])))
        raise now.error(
            path,
            f"particle {particle} moved by {moved[particle, axis]:.2f} of the box along {'xyz'[axis]} since the frame "
            f"before by its images, by {nearest[particle, axis]:.2f} to its nearest image",
            remedy="if a restart reset the images, set `ignore_images: true` under source.trajectories, or --ignore-images, "
            "to follow the nearest image; if it moved that far, write frames more often",
        )


def _moved(last: Snapshot, now: Snapshot) -> NDArray[np.float64]:
    """Displacement of wrapped positions since the frame before, in fractions of the edges, (particle, 3)."""
    moved: NDArray[np.float64] = now.position / now.box - last.position / last.box
    return moved
