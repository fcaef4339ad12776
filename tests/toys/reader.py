"""A reader of NumPy archives: `step` (frame,), `box` (3,), `position` and `image` (frame, particle, 3), `typeid` (particle,)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from daskglass.errors import TrajectoryError
from daskglass.trajectories import Scan, Snapshot

TYPES = ("A", "B")


def scan(path: Path) -> Scan:
    file = _opened(path)
    boxes = np.broadcast_to(file["box"].astype(np.float64), (file["step"].size, 3))
    return Scan(steps=file["step"], boxes=boxes, types=TYPES, typeid=file["typeid"], images=True)


def frames(path: Path, start: int, stop: int, offsets: Sequence[int] = ()) -> Iterator[Snapshot]:
    file = _opened(path)
    for k in range(start, stop):
        yield Snapshot(
            index=k,
            step=int(file["step"][k]),
            box=file["box"].astype(np.float64),
            position=file["position"][k],
            image=file["image"][k],
            types=TYPES,
            typeid=file["typeid"],
        )


def _opened(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise TrajectoryError(f"{path}: no NumPy archive: {error}") from error
