"""Timing of functions in turn, the rows of the table that this makes, and the liquids that are timed."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import gsd.hoomd
import numpy as np

import daskglass as dg
from daskglass.engines import get_engine

Function = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One comparison: medians, the spread of ours (largest less smallest, over the median), and the ratio.

    Attributes
    ----------
    what, ours, spread : name, value and spread of this side; peer, theirs : of the other
    ratio : theirs over ours, run by run, of which this is the median: a machine slow for a while is so for both
    aim : the least ratio aimed at; None where there is none
    limit, share : name of what bounds ours from below, and how much of ours it takes
    unit : of both values
    """

    what: str
    ours: float
    spread: float
    peer: str
    theirs: float
    ratio: float
    aim: float | None = None
    limit: str = ""
    share: float | None = None
    unit: str = "s"

    def cells(self) -> list[str]:
        """Cells of its line in a table."""
        return [
            self.what, f"{self.ours:.3g} {self.unit} ± {self.spread:.0%}", self.peer, f"{self.theirs:.3g} {self.unit}",
            f"{self.ratio:.3g}", "" if self.aim is None else f"{self.aim:g}",
            "" if self.share is None else f"{self.limit}: {self.share:.0%}",
        ]  # fmt: skip


HEAD = ["what", "daskglass", "peer", "takes", "ratio", "aim", "bound, and its share of daskglass's time"]


def compare(
    what: str,
    ours: Function,
    peers: dict[str, tuple[Function, float | None]],
    limit: tuple[str, Function] | None = None,
    runs: int = 5,
) -> list[Row]:
    """Time functions in turn, after one warm-up of each; print and return a row for each peer.

    Parameters
    ----------
    peers : function and aim, by name
    limit : name and function of the bound
    """
    functions = {"": ours, **{name: function for name, (function, _) in peers.items()}}
    if limit is not None:
        functions["limit"] = limit[1]
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for run in range(runs + 1):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if run:
                seconds[name].append(time.perf_counter() - began)
    spent = seconds.pop("")
    bound = {} if limit is None else {"limit": limit[0], "share": _over(seconds.pop("limit"), spent)}
    return [ratio(what, spent, name, seconds[name], aim, **bound) for name, (_, aim) in peers.items()]


def ratio(
    what: str,
    ours: list[float],
    peer: str,
    theirs: list[float],
    aim: float | None = None,
    limit: str = "",
    share: float | None = None,
    unit: str = "s",
) -> Row:
    """Print and return the row of values measured in turn; a single one of theirs is compared with each of ours."""
    middle = statistics.median(ours)
    spread = (max(ours) - min(ours)) / middle
    row = Row(what, middle, spread, peer, statistics.median(theirs), _over(theirs, ours), aim, limit, share, unit)
    tell(row)
    return row


def _over(theirs: list[float], ours: list[float]) -> float:
    """Median of the ratios of values measured in turn."""
    if len(theirs) == 1:
        theirs = theirs * len(ours)
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def tell(row: Row) -> None:
    """Print a row at once: the whole takes a while."""
    print(" | ".join(row.cells()), flush=True)


def liquid(
    particles: int = 4096, temperature: float = 1.0, steps: int = 5000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (particle, 3), species codes and box of a liquid simulated from a lattice."""
    mixture = dg.built_in("ka_0.0")[0]
    with get_engine("lammps").start(mixture, particles, 1, temperature, 0.004) as simulation:
        simulation.run(steps)
        positions = simulation.positions()
    species = np.repeat(np.arange(2), mixture.counts(particles)).astype(np.int8)
    return positions.astype(np.float32), species, np.full(3, mixture.box_length(particles))


def jumps(particles: int, frames: int, temperature: float, seed: int = 0) -> np.ndarray:
    """Positions (time, particle, 3) of particles that rattle about the sites of a lattice of liquid density, and jump."""
    rng = np.random.default_rng(seed)
    edge = (particles / 1.2) ** (1 / 3)
    sites = int(np.ceil(particles ** (1 / 3)))
    lattice = rng.permutation(sites**3)[:particles]
    home = ((np.column_stack(np.unravel_index(lattice, (sites,) * 3)) + 0.5) / sites - 0.5) * edge
    positions = np.empty((frames, particles, 3), np.float32)
    for k in range(frames):
        jumping = rng.random(particles) < np.exp(-3 / temperature)
        home += jumping[:, None] * rng.normal(scale=0.4, size=home.shape)
        positions[k] = home + rng.normal(scale=0.05, size=home.shape)
    return positions


def write_gsd(path: Path, frames: Iterable[np.ndarray], edge: float) -> None:
    """Write frames of an 80:20 mixture, wrapped into a cube, with images; a frame per τ at a time step of 0.004."""
    with gsd.hoomd.open(path, "w") as file:
        for k, position in enumerate(frames):
            image = np.rint(position / np.float32(edge))
            frame = gsd.hoomd.Frame()
            frame.configuration.step = 250 * k
            frame.configuration.box = [edge, edge, edge, 0, 0, 0]
            frame.particles.N = len(position)
            frame.particles.types = ["A", "B"]
            frame.particles.typeid = np.arange(len(position)) >= 0.8 * len(position)
            frame.particles.position = position - image * np.float32(edge)
            frame.particles.image = image.astype(np.int32)
            file.append(frame)
