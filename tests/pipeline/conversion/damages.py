"""Ways in which a file can be bad, and what is said of each."""

import numpy as np

from tests.pipeline.conversion.files import walk
from tests.trajectories.files import (
    gsd_frames,
    write_dump,
    write_frames,
)


def change(index, **changes):
    """Write a file anew in which one frame has something changed: `box`, `log`, or what `particles` holds."""

    def damage(path):
        frames = list(gsd_frames(walk(3), log=True))
        for name, value in changes.items():
            frame = frames[index]
            owner = frame.configuration if name in ("box", "step", "dimensions") else frame.particles
            setattr(owner, name, value)
        write_frames(path, frames)

    return damage


def arrange(order):
    def damage(path):
        frames = list(gsd_frames(walk(3), log=True))
        write_frames(path, [frames[k] for k in order])

    return damage


def moved(index, particle, value):
    position = walk(3).position[index].copy()
    position[particle, 1] = value
    return change(index, position=position)


SWAPPED = np.array([1, *[0] * 47, 0, *[1] * 11], np.uint32)
DAMAGES = {
    "empty": (lambda path: path.write_bytes(b""), "not a GSD file, or cut short"),
    "of another format": (lambda path: write_dump(path, walk(3)), "not a GSD file"),
    "text": (lambda path: path.write_text("never a trajectory\n" * 100), "not a GSD file"),
    "frames missing": (
        arrange([*range(20), *range(21, 40)]),
        "frame 20: is at time step 6250, expected 6000: frames are missing",
    ),
    "a frame repeated": (
        arrange([*range(20), *range(19, 39)]),
        "frame 20: is at time step 5750, like frame 19: remove the repeated frame",
    ),
    "frames out of order": (
        arrange([*range(20), 21, 20, *range(22, 40)]),
        "frame 21: is at time step 6000, before frame 20 at 6250: a restart or a second run begins here",
    ),
    "frames reversed": (
        arrange(range(39, -1, -1)),
        "frame 1: is at time step 10500, before frame 0 at 10750: a restart or a second run begins here",
    ),
    "particles vanish": (
        change(20, N=59, typeid=np.zeros(59, np.uint32), position=np.zeros((59, 3)), image=np.zeros((59, 3), int)),
        "frame 20: 59 particles, but 60 in frame 0",
    ),
    "a species changes": (change(20, typeid=SWAPPED), "frame 20: particle 0 is of species B, but A in frame 0"),
    "NaN": (moved(20, 7, np.nan), "frame 20: position of particle 7 is not finite"),
    "infinity": (moved(20, 7, np.inf), "frame 20: position of particle 7 is not finite"),
    "far outside the box": (moved(20, 7, 1e30), "frame 20: particle 7 at .* is outside the box"),
    "triclinic": (change(20, box=[4, 4.4, 5, 0.1, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
    "two-dimensional": (change(0, box=[4, 4.4, 0, 0, 0, 0]), "frame 0: box .* only three-dimensional orthorhombic"),
    "a negative box": (change(20, box=[4, -4.4, 5, 0, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
    "a box of NaN": (change(20, box=[4, np.nan, 5, 0, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
}  # fmt: skip
