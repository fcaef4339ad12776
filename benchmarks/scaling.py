"""Analysis on one and on two workers, against the same science on the same frames in memory, in one thread of one process.

`python -m benchmarks.scaling` also prints where the time goes by stage.
"""

import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import xarray as xr
from distributed import Client, get_task_stream

from benchmarks.conversion import workers
from benchmarks.timing import Row, jumps, ratio, write_gsd
from daskglass.physics import dynamics, entropy, hops, strata, structure
from daskglass.physics.softness import Softness, recall_precision, sample_examples
from daskglass.pipeline import run as pipeline
from daskglass.pipeline.on_dask import OnDask
from daskglass.stages.softness import frames_together
from daskglass.store import blocks as store
from daskglass.study.paths import ledger_path
from daskglass.study.settings import Study

PARTICLES, FRAMES = 16384, 48  # at each temperature
TEMPERATURES = (0.60, 0.50)
RUNS = 3
BLOCK = 16  # frames
Seconds = Counter[str]


def write_trajectory(path: Path, particles: int, frames: int, temperature: float) -> None:
    """Write particles that rattle and jump."""
    write_gsd(path, jumps(particles, frames, temperature, round(100 * temperature)), (particles / 1.2) ** (1 / 3))


def study_of(folder: Path, temperatures: tuple[float, ...] = TEMPERATURES) -> Study:
    """Return a thermal study of the files of a folder, whose fits, which do not grow with it, are kept short."""
    return Study.model_validate({
        "study": "scaling",
        "store": f"{folder}/frames.zarr",
        "systems": [{"system": "jumps", "temperatures": temperatures, "replicas": 1}],
        "source": {"trajectories": {"path": f"{folder}/T{{temperature:g}}.gsd", "timestep": 0.004,
                                    "constants": {"system": "jumps", "replica": 0}}},
        "inherent": "none",
        "hops": {"hard_separation": 15.0, "soft": 0.1},
        "softness": {"train_on": {"run": "production", "temperature": temperatures[-1]}, "samples_per_class": 1000},
        "radial": {"r_max": 5.0},
        "barriers": {"hottest": temperatures[0], "resamples": 2},
    })  # fmt: skip


def run(study: Study, client: Client, stage: str | None = None) -> None:
    """Run a study, or one stage of it."""
    outcome = pipeline.run(study, lambda seconds: OnDask(client), draw=lambda plans, tasks: [], stage=stage)
    assert not outcome.failures, outcome.failures


@contextmanager
def a_copy(study: Study, number: int) -> Iterator[Study]:
    """Give a study a copy of its store."""
    path = Path(study.store)
    copy = path.with_name(f"{number}.zarr")
    shutil.copytree(path, copy)
    shutil.copy(ledger_path(path), ledger_path(copy))
    yield study.model_copy(update={"store": str(copy)})
    shutil.rmtree(copy)


def timed(seconds: Seconds, stage: str, function: Callable[..., object], *arguments: object) -> object:
    """Call a function, and add its time to that of its stage."""
    began = time.perf_counter()
    result = function(*arguments)
    seconds[stage] += time.perf_counter() - began
    return result


def bare(study: Study, runs: list[xr.Dataset]) -> Seconds:
    """Seconds by stage of the functions that the stages call, over the frames in memory, a block or a row at a time."""
    seconds: Seconds = Counter()
    mu, width = structure.mu_grid(*study.structure.mu), study.structure.width
    radial, given = study.radial, study.hops
    p_hop = [timed(seconds, "hops", hops.hop_indicator, r.position, given.window) for r in runs]
    label = timed(
        seconds, "hops", hops.rearrangement_labels, p_hop[-1], runs[-1].species, given.soft, given.hard,
        given.soft_separation, given.hard_separation,
    )  # fmt: skip
    model = timed(seconds, "structure", _train, study, runs[-1], label, mu)
    S, s2 = [], []
    for r in runs:
        together = frames_together(r.sizes["particle"] * 2 * len(mu))
        found = [timed(seconds, "softness", _soften, block, model, mu, width) for block in _blocks(r, together)]
        S.append(xr.concat([softness for softness, _ in found], "time"))
        s2.append(xr.concat([local for _, local in found], "time"))
    for r in runs:
        group = xr.where(r.species == 0, 0, -1)
        for block in _blocks(r):
            timed(seconds, "entropy", structure.pair_counts, block.position, r.species, r.box, group, 1,
                  radial.r_max, radial.bin_width)  # fmt: skip
        timed(seconds, "ensemble", dynamics.scattering_function, r.position, r.species)
        timed(seconds, "ensemble", dynamics.mean_squared_displacement, r.position, r.species)
    for values in (S, s2):
        edges = timed(seconds, "ensemble", strata.strata, xr.concat(values, "row"))
        for hop, each in zip(p_hop, values, strict=True):
            # for every candidate of the supercooled range
            for _ in runs:
                timed(seconds, "ensemble", strata.stratum_counts, hop, each, edges, given.soft)
    for hop, each in zip(p_hop, S, strict=True):
        timed(seconds, "ensemble", recall_precision, each, hop, given.soft)
    bins = np.linspace(*np.nanpercentile(np.stack(S), (5, 95)), radial.softness_bins + 1)
    for r, each in zip(runs, S, strict=True):
        for block, softness in zip(_blocks(r), _blocks(each), strict=True):
            group = softness.copy(data=strata.assign_strata(softness.values, bins))
            timed(seconds, "barriers", structure.pair_counts, block.position, r.species, r.box, group,
                  radial.softness_bins, radial.r_max, radial.bin_width)  # fmt: skip
    return seconds


def bare_at_once(study: Study, warm: Study) -> float:
    """Seconds of the bare kernels in each of two processes that run them at once: what two cores are good for."""
    with workers(2) as client:
        for each in (warm, study):
            both = [client.submit(_bare_of, each, workers=[worker], pure=False) for worker in client.nthreads()]
            seconds = client.gather(both)
    return statistics.mean(seconds)


def _bare_of(study: Study) -> float:
    return sum(bare(study, frames_of(study)).values())


def _train(study: Study, run: xr.Dataset, label: xr.DataArray, mu: list[float]) -> Softness:
    given = study.softness
    frame, particle = np.unravel_index(sample_examples(label.values, given.samples_per_class, given.seed), label.shape)
    centers = xr.zeros_like(label, dtype=bool)
    centers.values[frame, particle] = True
    parts = []
    for k in np.unique(frame):
        G = structure.structure_functions(run.position[k], run.species, run.box, mu, study.structure.width, centers[k])
        parts.append(G.isel(particle=particle[frame == k]).rename(particle="example").reset_coords(drop=True))
    examples = xr.concat(parts, "example").to_dataset(name="G")
    return Softness.fit(examples.assign(label=("example", label.values[frame, particle])), given.seed)


def _soften(frame: xr.Dataset, model: Softness, mu: list[float], width: float) -> tuple[xr.DataArray, xr.DataArray]:
    G = structure.structure_functions(frame.position, frame.species, frame.box, mu, width)
    return model.transform(G), entropy.local_excess_entropy(G)


def _blocks(values: xr.Dataset | xr.DataArray, frames: int = BLOCK) -> list[xr.Dataset] | list[xr.DataArray]:
    return [values.isel(time=slice(k, k + frames)) for k in range(0, values.sizes["time"], frames)]


def frames_of(study: Study) -> list[xr.Dataset]:
    """Frames of every temperature, in memory, as the store holds them."""
    production = store.open_group(Path(study.store), "jumps/production").sel(replica=0, drop=True)
    production = production[["position", "box", "species"]].load()
    return [production.isel(temperature=k, drop=True) for k in range(production.sizes["temperature"])]


def by_stage(client: Client, study: Study) -> tuple[float, Seconds]:
    """Run a study; return its wall time, and the seconds that its tasks computed, by stage."""
    with get_task_stream(client) as stream:
        began = time.perf_counter()
        run(study, client)
        wall = time.perf_counter() - began
    seconds: Seconds = Counter()
    for task in stream.data:
        seconds[task["key"].partition("-")[0]] += sum(
            part["stop"] - part["start"] for part in task["startstops"] if part["action"] == "compute"
        )
    return wall, seconds


def compare(folder: Path, particles: int, frames: int, warm: Study) -> list[Row]:
    """Rows of efficiency and overhead, runs in turn, each by workers that have run a study before."""
    folder.mkdir()
    for T in TEMPERATURES:
        write_trajectory(folder / f"T{T:g}.gsd", particles, frames, T)
    study, numbers = study_of(folder), count()
    with workers(1) as client:
        run(study, client, "convert")
    in_memory = frames_of(study)
    walls: dict[int, list[float]] = {1: [], 2: []}
    alone: list[Seconds] = []
    at_once: list[float] = []
    tasks: list[Seconds] = []
    for _ in range(RUNS):
        alone.append(bare(study, in_memory))
        at_once.append(bare_at_once(study, warm))
        for number, times in walls.items():
            with (
                workers(number) as client,
                a_copy(warm, next(numbers)) as before,
                a_copy(study, next(numbers)) as copy,
            ):
                run(before, client)
                wall, seconds = by_stage(client, copy)
            times.append(wall)
            if number == 1:
                tasks.append(seconds)
    for stage in dict.fromkeys(stage for seconds in tasks for stage in seconds):
        own, theirs = (statistics.median(seconds[stage] for seconds in found) for found in (alone, tasks))
        print(f"  {stage:10} bare {own:6.2f} s, in tasks {theirs:6.2f} s")
    between = statistics.median(walls[1]) - statistics.median(sum(seconds.values()) for seconds in tasks)
    print(f"  between tasks {between:.2f} s", flush=True)
    size = f"{particles:,} particles, {frames * len(TEMPERATURES)} frames"
    bare_kernels = [sum(seconds.values()) for seconds in alone]
    return [
        ratio(f"study of {size}, one worker", walls[1], "the bare kernels in memory", bare_kernels, 1 / 1.15),
        ratio(f"study of {size}, two workers", walls[2], "one worker", walls[1], 2 * 0.85),
        ratio("bare kernels twice, in two processes at once", at_once, "in turn", [2 * each for each in bare_kernels]),
    ]


def small_study(folder: Path) -> Study:
    """Return a study that takes a moment: workers that have run it have loaded all that studies need."""
    folder.mkdir()
    for T in TEMPERATURES:
        write_trajectory(folder / f"T{T:g}.gsd", 1400, 48, T)
    return study_of(folder)


def rows() -> list[Row]:
    """Compare at one size."""
    with tempfile.TemporaryDirectory() as name:
        warm = small_study(Path(name) / "warm")
        with workers(1) as client:
            run(warm, client, "convert")
        bare(warm, frames_of(warm))
        return compare(Path(name) / "study", PARTICLES, FRAMES, warm)


if __name__ == "__main__":
    rows()
