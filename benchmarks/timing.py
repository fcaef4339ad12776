"""Timing of two functions in turn, and the liquid they are timed on."""

import statistics
import time
from collections.abc import Callable

import numpy as np

import daskglass as dg
from daskglass.engines import get_engine


def compare(what: str, ours: Callable[[], object], peer: Callable[[], object], named: str, runs: int = 5) -> None:
    """Print the median times of both, run alternately after one warm-up, and their ratio."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 1):
        for function, times in zip((ours, peer), seconds, strict=True):
            began = time.perf_counter()
            function()
            if run:
                times.append(time.perf_counter() - began)
    mine, other = (statistics.median(times) for times in seconds)
    print(f"{what}: {mine:.4g} s; {named}: {other:.4g} s; {other / mine:.2g} times as fast")


def liquid(particles: int = 4096, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (particle, 3), species codes and box of a liquid simulated for 20 τ from a lattice."""
    mixture = dg.built_in("ka_0.0")[0]
    with get_engine("lammps").start(mixture, particles, 1, temperature, 0.004) as simulation:
        simulation.run(5000)
        positions = simulation.positions()
    species = np.repeat(np.arange(2), mixture.counts(particles)).astype(np.int8)
    return positions.astype(np.float32), species, np.full(3, mixture.box_length(particles))
