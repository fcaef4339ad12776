"""The analysis of one temperature and replica, against the same steps as the field writes them today.

Of the paper's size, from the store to the ensemble tables, and of 4,096 particles, from the file to the page; thermal positions.
The script holds its frames in memory already, and draws nothing. What takes it the same time for every frame is timed on a
few, and multiplied; all of it is processor time.
"""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import freud
import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import find_peaks
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from benchmarks.conversion import workers
from benchmarks.estimate import write_study
from benchmarks.scaling import Seconds, bare, frames_of, run, small_study, study_of, write_trajectory
from benchmarks.start import processor
from benchmarks.timing import Row, jumps, ratio
from daskglass.physics.structure import MU, WIDTH
from daskglass.pipeline.estimate import kinds_of
from daskglass.pipeline.plan import plan_study

PARTICLES, FRAMES, TEMPERATURE = 32_768, 101, 0.5
SAMPLED = 3  # frames that the script analyses
RUNS = 2
STAGES = ("hops", "structure", "train", "softness", "entropy", "ensemble")


def timed(seconds: Seconds, step: str, function: Callable[..., np.ndarray], *arguments: object) -> np.ndarray:
    """Call a function, and add its processor time to that of its step."""
    began = time.process_time()
    result = function(*arguments)
    seconds[step] += time.process_time() - began
    return result


def script(positions: np.ndarray, codes: np.ndarray, edge: float) -> Seconds:
    """Seconds by step of freud, numpy, scipy, scikit-learn and pandas."""
    freud.parallel.set_num_threads(1)
    cube = freud.box.Box.cube(edge)
    A = np.flatnonzero(codes == 0)
    seconds: Seconds = Counter()
    hop = timed(seconds, "hops", _hop, positions)
    labels = timed(seconds, "labels", _labels, hop[:, A])
    per_frame: Seconds = Counter()
    examples, wanted = [], []
    S, s2 = [], []
    for k in np.linspace(10, FRAMES - 10, SAMPLED).astype(int):
        G = timed(per_frame, "structure functions", _features, cube, positions[k], codes, A)
        examples.append(G[labels[k] >= 0])
        wanted.append(labels[k][labels[k] >= 0])
        if k == 10:
            fit = make_pipeline(StandardScaler(), LinearSVC())
            random = np.random.default_rng(0).integers(0, 2, min(4000, len(G)))
            timed(seconds, "training", fit.fit, G[: random.size], random)
        S.append(timed(per_frame, "softness", fit.decision_function, G))
        s2.append(timed(per_frame, "local entropy", _local_entropy, G))
        timed(per_frame, "g(r)", _radial, cube, positions[k], A)
        timed(per_frame, "strata", _strata, hop[k, A], S[-1], s2[-1])
    for step, spent in per_frame.items():
        seconds[step] = spent * FRAMES / SAMPLED
    seconds["dynamics"] = _dynamics(positions[:, A])
    return seconds


def _hop(positions: np.ndarray) -> np.ndarray:
    x = positions - positions.mean(axis=1, keepdims=True)
    hop = np.full(x.shape[:2], np.nan)
    # particles in parts: windows of all would not fit into memory
    for low in range(0, x.shape[1], 4096):
        view = sliding_window_view(x[:, low : low + 4096], 6, axis=0)
        A, B = view[:-5], view[5:]
        in_A = ((A - B.mean(axis=-1, keepdims=True)) ** 2).sum(axis=2).mean(axis=-1)
        in_B = ((B - A.mean(axis=-1, keepdims=True)) ** 2).sum(axis=2).mean(axis=-1)
        hop[5:-5, low : low + 4096] = np.sqrt(in_A * in_B)
    return hop


def _labels(hop: np.ndarray) -> np.ndarray:
    labels = np.full(hop.shape, -1, np.int8)
    for i, series in enumerate(hop[5:-5].T):
        labels[5 + find_peaks(-series, height=-0.05, distance=15)[0], i] = 0
        labels[5 + find_peaks(series, height=0.1, distance=10)[0], i] = 1
    return labels


def _features(cube: freud.box.Box, positions: np.ndarray, codes: np.ndarray, A: np.ndarray) -> np.ndarray:
    x = cube.wrap(positions)
    found = freud.locality.AABBQuery(cube, x).query(x[A], {"r_max": 3.5, "exclude_ii": False}).toNeighborList()
    G = np.empty((A.size, 2, len(MU)))
    for K in range(2):
        of_kind = (codes[found.point_indices] == K) & (found.distances > 0)
        for k, mu in enumerate(MU):
            term = np.exp(-((found.distances[of_kind] - mu) ** 2) / (2 * WIDTH**2))
            G[:, K, k] = np.bincount(found.query_point_indices[of_kind], term, A.size)
    return G.reshape(A.size, -1)


def _local_entropy(features: np.ndarray) -> np.ndarray:
    mu, norm = np.array(MU), np.sqrt(2 * np.pi) * WIDTH
    G = features.reshape(len(features), 2, mu.size)
    rho = G.sum(axis=-1, keepdims=True) * 0.1 / (norm * 4 / 3 * np.pi * 27)
    g = G / (norm * 4 * np.pi * rho * mu**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        term = np.where(g > 0, g * np.log(g), 0) - g + 1
    return -2 * np.pi * (rho[..., 0] * (term * mu**2 / (1 + np.exp(mu - 2)) * 0.1).sum(axis=-1)).sum(axis=-1)


def _radial(cube: freud.box.Box, positions: np.ndarray, A: np.ndarray) -> None:
    x = cube.wrap(positions)
    rdf = freud.density.RDF(bins=250, r_max=5.0)
    rdf.compute((cube, x), query_points=x[A], neighbors={"r_max": 5.0, "exclude_ii": False})


def _strata(hop: np.ndarray, S: np.ndarray, s2: np.ndarray) -> None:
    table = pd.DataFrame({"moves": hop > 0.1, "S": pd.qcut(S, 20), "s2": pd.qcut(s2, 20)})
    for column in ("S", "s2"):
        table.groupby(column, observed=True)["moves"].agg(["size", "sum"])
    table["moves"].groupby(S > 0).mean()


def _dynamics(positions: np.ndarray) -> float:
    began = time.process_time()
    freud.msd.MSD(mode="window").compute(positions)
    for lag in range(1, FRAMES):
        qr = 7.14 * np.linalg.norm(positions[lag::10] - positions[: FRAMES - lag : 10], axis=-1)
        np.mean(np.sinc(qr / np.pi))
    return time.process_time() - began


def page() -> Row:
    """Compare a run of the command from the file to the page with the script, once a first run has filled caches."""
    N, T = 4096, 0.5
    with tempfile.TemporaryDirectory() as name:
        folder, command = Path(name), ("-m", "daskglass", "run", "page.yaml", "--quiet")
        write_study(folder, "page", N, FRAMES, (T,), 1, "none", 1000, 200)
        processor(*command, folder=folder)
        ours = []
        for _ in range(RUNS):
            for path in folder.glob("page.zarr*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            ours.append(processor(*command, folder=folder))
    positions, codes = jumps(N, FRAMES, T), (np.arange(N) >= 0.8 * N).astype(np.int8)
    theirs = [sum(script(positions, codes, (N / 1.2) ** (1 / 3)).values()) for _ in range(RUNS)]
    what = f"{N:,} particles, {FRAMES} frames, from GSD to page, processor time"
    return ratio(what, ours, "freud, numpy, scipy, pandas; no page", theirs, 6)


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def rows() -> list[Row]:
    """Time all three, and compare the memory of the worker with what was foreseen."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_trajectory(folder / f"T{TEMPERATURE:g}.gsd", PARTICLES, FRAMES, TEMPERATURE)
        study = study_of(folder, (TEMPERATURE,))
        small = small_study(folder / "small")
        walls, kernels, peaks = [], [], []
        for k in range(RUNS):
            each = study.model_copy(update={"store": f"{folder}/{k}.zarr"})
            with workers(1) as client:
                run(small.model_copy(update={"store": f"{folder}/small{k}.zarr"}), client)
                run(each, client, "convert")
                in_memory = frames_of(each)
                began = time.perf_counter()
                for stage in STAGES:
                    run(each, client, stage)
                walls.append(time.perf_counter() - began)
                (peak,) = client.run(peak_memory).values()
                peaks.append(peak / 1e6)
            seconds = bare(each, in_memory)
            kernels.append(sum(seconds[stage] for stage in STAGES))
        (plan,) = plan_study(study)
        foreseen = max(kind.memory for kind in kinds_of(plan) if kind.stage in STAGES) / 1e6
        run_in_memory = in_memory[0]
        spent = script(run_in_memory.position.values, run_in_memory.species.values, float(run_in_memory.box[0]))
    for step, each in spent.most_common():
        print(f"  script, {step}: {each:.1f} s")
    size = f"analysis of {PARTICLES:,} particles, {FRAMES} frames, from the store"
    return [
        ratio(size, walls, "the bare kernels in memory", kernels, 1 / 1.15),
        ratio(size, walls, "freud, numpy, scipy, pandas", [sum(spent.values())], 25),
        page(),
        ratio("memory of its worker", peaks, "foreseen", [foreseen], 0.8, unit="MB"),
    ]


if __name__ == "__main__":
    rows()
