"""Start-up: the import, the first call of a kernel whose machine code is cached, and commands that have little to do."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import Row, jumps, ratio, write_gsd

RUNS = 5
FIRST_CALL = """
import time
import numpy as np
from daskglass.kernels import structure
x, codes = np.random.default_rng(0).uniform(0, 9, (500, 3)).astype(np.float32), np.zeros(500, np.int8)
mu, G = np.linspace(0.4, 3.0, 27), np.empty((500, 1, 27), np.float32)
began = time.perf_counter()
structure.structure_functions(x, codes, codes == 0, np.full(3, 9.0), mu, 0.1, *structure.gaussian_expansion(0.1, 0.1), G)
print(time.perf_counter() - began)
"""
LIBRARIES = "import xarray, zarr"  # what any program that reads a store imports
PARTICLES, FRAMES, TEMPERATURES = 500, 61, (1.0, 0.7)
STUDY = f"""\
study: small
store: small.zarr
systems:
  - {{system: ka_0.0, temperatures: {list(TEMPERATURES)}, replicas: 1}}
source:
  trajectories: {{path: "T{{temperature:g}}.gsd", timestep: 0.004, constants: {{replica: 0}}}}
inherent: none
hops: {{window: 10.0, soft: 0.1, hard: 0.05, hard_separation: 10.0}}
softness: {{train_on: {{run: production, temperature: 0.7}}, samples_per_class: 200}}
radial: {{r_max: 3.5, bin_width: 0.05}}
strata: {{bins: 3}}
barriers: {{resamples: 2, hottest: 1.0}}
"""
QUERY = "query small.zarr --variable softness --temperature 0.7 --mean time --mean particle"
COMMANDS = {
    "status": ("status small.yaml", 1 / 1.5),
    "query of one value": (QUERY, 1 / 1.5),
    "run with nothing to do": ("run small.yaml --quiet", 1 / 2),
}  # each with the least ratio aimed at


def interpreter(code: str) -> tuple[float, str]:
    """Seconds of a fresh interpreter, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


def processor(*arguments: str, folder: Path | None = None) -> float:
    """Seconds of processor time of a fresh interpreter, which finds modules compiled as an installation has them."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def small_study(folder: Path) -> None:
    """Run a study of few particles in a folder."""
    for k, T in enumerate(TEMPERATURES):
        write_gsd(folder / f"T{T:g}.gsd", jumps(PARTICLES, FRAMES, T, k), (PARTICLES / 1.2) ** (1 / 3))
    (folder / "small.yaml").write_text(STUDY)
    processor("-m", "daskglass", "run", "small.yaml", "--cluster", "none", folder=folder)


def commands() -> list[Row]:
    """Compare the processor time of commands with that of importing the libraries that they read a store with."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small_study(folder)
        for command, _ in COMMANDS.values():
            processor("-m", "daskglass", *command.split(), folder=folder)
        ours: dict[str, list[float]] = {what: [] for what in COMMANDS}
        theirs = []
        for _ in range(RUNS):
            theirs.append(processor("-c", LIBRARIES))
            for what, (command, _) in COMMANDS.items():
                ours[what].append(processor("-m", "daskglass", *command.split(), folder=folder))
    peer = f"python -c '{LIBRARIES}'"
    return [
        ratio(f"daskglass {what}, processor time", ours[what], peer, theirs, aim) for what, (_, aim) in COMMANDS.items()
    ]


def rows() -> list[Row]:
    """Time all of them, after one run that fills caches."""
    interpreter(FIRST_CALL)
    bare = [interpreter("")[0] for _ in range(RUNS)]
    whole = [interpreter("import daskglass")[0] for _ in range(RUNS)]
    own = statistics.median(bare)
    imported = [seconds - own for seconds in whole]
    first = [float(interpreter(FIRST_CALL)[1]) for _ in range(RUNS)]
    return [
        ratio("import daskglass", imported, "allowed", [1.0], 1),
        ratio("first call of a kernel, its machine code cached", first, "allowed", [2.0], 1),
        *commands(),
    ]


if __name__ == "__main__":
    rows()
