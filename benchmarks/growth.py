"""How time and memory grow: kernels with the number of particles at one density, a study with the number of frames."""

import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

import daskglass as dg
from benchmarks.conversion import workers
from benchmarks.scaling import run, study_of, write_trajectory
from benchmarks.study import peak_memory
from benchmarks.timing import Row, jumps, ratio
from daskglass.physics.structure import pair_counts

PARTICLES = (4096, 65_536, 1_048_576)
RUNS = 5
FRAMES = (50, 400)
FEW = 2048  # particles of the studies


def rows() -> list[Row]:
    """Compare the largest with the smallest."""
    return [*particles(), *frames()]


def particles() -> list[Row]:
    """Time of a particle in frames of different size."""
    structure: dict[int, list[float]] = {n: [] for n in PARTICLES}
    radial: dict[int, list[float]] = {n: [] for n in PARTICLES}
    sized = {n: _frame(n) for n in PARTICLES}
    for turn in range(RUNS + 1):
        for n, (position, species, box, group) in sized.items():
            calls = max(1, PARTICLES[1] // n)
            began = time.perf_counter()
            for _ in range(calls):
                dg.structure_functions(position, species, box)
            between = time.perf_counter()
            for _ in range(calls):
                pair_counts(position, species, box, group, 1, 5.0, 0.02)
            ended = time.perf_counter()
            if turn:
                structure[n].append(1e6 * (between - began) / calls / n)
                radial[n].append(1e6 * (ended - between) / calls / n)
    smallest = PARTICLES[0]
    return [
        ratio(f"{name}, a particle of {n:,}", times[n], f"one of {smallest:,}", times[smallest], 0.9, unit="µs")
        for name, times in (("structure functions", structure), ("g(r)", radial))
        for n in PARTICLES[1:]
    ]


def _frame(n: int) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray, xr.DataArray]:
    """Positions, species, box, and the only group of centres."""
    position = xr.DataArray(jumps(n, 1, 0.5)[0], dims=("particle", "xyz"))
    codes = (np.arange(n) >= 0.8 * n).astype(np.int8)
    species = xr.DataArray(codes, dims="particle", attrs={"names": ["A", "B"]})
    box = xr.DataArray(np.full(3, (n / 1.2) ** (1 / 3)), dims="xyz")
    return position, species, box, xr.where(species == 0, 0, -1)


def frames() -> list[Row]:
    """Time of a frame, and memory of the worker, in studies of different length."""
    spent, peaks = {}, {}
    with tempfile.TemporaryDirectory() as name:
        for number in FRAMES:
            folder = Path(name) / str(number)
            folder.mkdir()
            write_trajectory(folder / "T0.5.gsd", FEW, number, 0.5)
            write_trajectory(folder / "T0.6.gsd", FEW, number, 0.6)
            study = study_of(folder)
            warm = study.model_copy(update={"store": f"{folder}/warm.zarr"})
            with workers(1) as client:
                run(warm, client)
                began = time.perf_counter()
                run(study, client)
                spent[number] = 1000 * (time.perf_counter() - began) / number
                (peak,) = client.run(peak_memory).values()
                peaks[number] = peak / 1e6
    fewest = FRAMES[0]
    found = []
    for number in FRAMES[1:]:
        found += [
            ratio(f"study, a frame of {number}", [spent[number]], f"one of {fewest}", [spent[fewest]], 0.9, unit="ms"),
            ratio(f"memory of the worker, {number} frames", [peaks[number]], f"{fewest} frames", [peaks[fewest]], 0.9,
                  unit="MB"),
        ]  # fmt: skip
    return found


if __name__ == "__main__":
    rows()
