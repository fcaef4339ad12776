"""One simulated run, written in every format and with every set of columns."""

import bz2
import gzip
import lzma
from dataclasses import dataclass
from pathlib import Path

import gsd.hoomd
import numpy as np

from daskglass.trajectories.compression import zstd

ENERGY = "md/compute/ThermodynamicQuantities/potential_energy"
PRESSURE = "md/compute/ThermodynamicQuantities/pressure"
PACK = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1}),
}
COLUMNS = {
    "wrapped": "id type x y z ix iy iz",
    "scaled": "id type xs ys zs ix iy iz",
    "unwrapped": "id type xu yu zu",
    "unwrapped and scaled": "id type xsu ysu zsu",
    "in another order": "vx iz z type ix x id y iy mol",
}


@dataclass(frozen=True)
class Run:
    """`position` (frame, particle, 3) float32 from the centre of the box, `image` alike, `low` the corner of the box."""

    step: np.ndarray
    box: np.ndarray
    low: np.ndarray
    position: np.ndarray
    image: np.ndarray
    typeid: np.ndarray
    types: tuple[str, ...] = ("1", "2")

    @property
    def unwrapped(self):
        return unwrapped(self.position, self.image, self.box)


def unwrapped(position, image, box):
    return (position.astype(np.float64) + image * np.asarray(box, np.float64)).astype(np.float32)


def make_run(frames=3, particles=20, box=(5.0, 6.0, 7.0), low=(0.0, 0.0, 0.0), seed=0) -> Run:
    rng = np.random.default_rng(seed)
    box = np.float32(box).astype(np.float64)
    position = (rng.uniform(-0.499, 0.499, (frames, particles, 3)) * box).astype(np.float32)
    return Run(
        step=100 + 250 * np.arange(frames),
        box=box,
        low=np.array(low),
        position=position,
        image=rng.integers(-3, 4, position.shape).astype(np.int32),
        typeid=(np.arange(particles) >= 0.8 * particles).astype(np.int8),
    )


def gsd_frames(run: Run, images=True, log=False):
    for k, step in enumerate(run.step):
        frame = gsd.hoomd.Frame()
        frame.configuration.step = int(step)
        frame.configuration.box = [*run.box, 0, 0, 0]
        frame.particles.N = len(run.typeid)
        frame.particles.types = list(run.types)
        frame.particles.typeid = run.typeid.astype(np.uint32)
        frame.particles.position = run.position[k]
        if images:
            frame.particles.image = run.image[k]
        if log:
            frame.log = {ENERGY: np.array([-100.0 - k]), PRESSURE: np.array([6.5 + k])}
        yield frame


def write_gsd(path: Path, run: Run, **options) -> Path:
    return write_frames(path, gsd_frames(run, **options))


def write_frames(path: Path, frames) -> Path:
    with gsd.hoomd.open(path, "w") as file:
        for frame in frames:
            file.append(frame)
    return path


def dump_text(run: Run, columns: str = COLUMNS["wrapped"], order=None, end: str = "") -> str:
    """Write a dump as LAMMPS would, with all digits; `order` is that of the particles, `end` stands after each line."""
    texts = []
    order = range(len(run.typeid)) if order is None else order
    bounds = "".join(f"{low:.17g} {low + edge:.17g}\n" for low, edge in zip(run.low, run.box, strict=True))
    for k, step in enumerate(run.step):
        x = run.position[k].astype(np.float64) + (run.low + run.box / 2)
        xu = x + run.image[k] * run.box
        values = {"id": range(1, len(x) + 1), "type": [run.types[code] for code in run.typeid]}
        values |= {"element": values["type"], "vx": [0.5] * len(x), "mol": ["water"] * len(x)}
        for axis, name in enumerate("xyz"):
            values |= {name: x[:, axis], f"{name}u": xu[:, axis], f"i{name}": run.image[k][:, axis]}
            values[f"{name}s"] = (x[:, axis] - run.low[axis]) / run.box[axis]
            values[f"{name}su"] = (xu[:, axis] - run.low[axis]) / run.box[axis]
        rows = zip(*(values[name] for name in columns.split()), strict=True)
        words = [[f"{v:.17g}" if isinstance(v, float) else str(v) for v in row] for row in rows]
        texts.append(
            f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(x)}\nITEM: BOX BOUNDS pp pp pp\n{bounds}"
            f"ITEM: ATOMS {columns}{end}\n" + "".join(" ".join(words[p]) + f"{end}\n" for p in order)
        )
    return "".join(texts)


def write_dump(path: Path, run: Run, columns: str = COLUMNS["wrapped"], pack: str = "plain", **options) -> Path:
    path.write_bytes(PACK[pack](dump_text(run, columns, **options).encode()))
    return path


def assert_one_line_naming(path: Path, error: Exception) -> None:
    assert str(error).startswith(f"{path}: ")
    assert "\n" not in str(error)
