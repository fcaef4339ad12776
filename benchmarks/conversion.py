"""Conversion of GSD files against copying the same frames with plain GSD reading and plain Zarr writing.

`python -m benchmarks.conversion` prints the ratio of speeds; with a size in GB, the memory of converting one file so large.
"""

import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gsd.hoomd
import numpy as np
import psutil
import zarr
from distributed import Client
from zarr.codecs import BloscCodec, TransposeCodec

from benchmarks.timing import Row, compare, write_gsd
from daskglass.cluster.connect import connect
from daskglass.cluster.job_script import Profile
from daskglass.pipeline import run as pipeline
from daskglass.pipeline.on_dask import OnDask
from daskglass.store.lock import locked
from daskglass.study.load import study_of_files

PARTICLES = 32_768
FRAMES = 160
FILES = 4
CHUNK = 16  # frames


def write_trajectory(path: Path, frames: int, seed: int) -> None:
    """Write a random walk of particles from anywhere in a box of liquid density."""
    rng = np.random.default_rng(seed)
    edge = (PARTICLES / 1.2) ** (1 / 3)
    position = rng.uniform(-edge / 2, edge / 2, (PARTICLES, 3))
    steps = (rng.normal(scale=0.05, size=position.shape) for _ in range(frames - 1))
    write_gsd(path, itertools.accumulate(steps, initial=position), edge)


def copy(path: Path, frames: int, target: Path) -> None:
    """Copy the positions of a file into a Zarr array of the same chunks and codecs."""
    array = zarr.create_array(
        store=target,
        shape=(1, 1, frames, PARTICLES, 3),
        chunks=(1, 1, CHUNK, PARTICLES, 3),
        dtype="float32",
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
        filters=[TransposeCodec(order=(0, 1, 3, 4, 2))],
    )
    with gsd.hoomd.open(path, "r") as file:
        for start in range(0, frames, CHUNK):
            block = file[start : start + CHUNK]
            array[0, 0, start : start + CHUNK] = np.stack([frame.particles.position for frame in block])


def convert(folder: Path, store: Path, client: Client) -> None:
    """Convert all files of a folder."""
    study = study_of_files(
        store, format="gsd", path=f"{folder}/r{{replica}}.gsd", timestep=0.004,
        constants={"system": "walk", "temperature": 0.5},
    )  # fmt: skip
    with locked(store):
        executor = OnDask(client)
        plans = pipeline.plan_files(study, lambda seconds: executor)
        outcome = pipeline.convert(plans, lambda seconds: executor)
    assert not outcome.failures, outcome.failures


@contextmanager
def workers(number: int) -> Iterator[Client]:
    """Run processes of one thread each, as a study does."""
    with connect(Profile("benchmark", "local", wait=60.0, workers=number), Path.cwd()) as connection:
        yield connection.client


def throughput(folder: Path) -> list[Row]:
    """Compare conversion with copying, both file by file on one core, then on all cores by Dask."""
    for replica in range(FILES):
        write_trajectory(folder / f"r{replica}.gsd", FRAMES, replica)
    runs = iter(range(10**6))
    found = []
    for number in (1, len(os.sched_getaffinity(0))):
        with workers(number) as client:

            def ours(client: Client = client) -> None:
                convert(folder, folder / f"{next(runs)}.zarr", client)

            def plain(client: Client = client) -> None:
                tasks = [
                    client.submit(copy, folder / f"r{k}.gsd", FRAMES, folder / f"{next(runs)}.zarr", pure=False)
                    for k in range(FILES)
                ]
                client.gather(tasks)

            found += compare(
                f"conversion of {FILES} files, {number} workers", ours, {"plain copies in the same workers": (plain, None)},
                runs=3,
            )  # fmt: skip
    return found


def memory(folder: Path, gigabytes: float) -> None:
    """Print the largest memory of a worker, and of the process that plans, while one large file is converted."""
    frames = round(gigabytes * 1e9 / (24 * PARTICLES))
    write_trajectory(folder / "r0.gsd", frames, 0)
    size = (folder / "r0.gsd").stat().st_size
    largest: dict[int, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
                try:
                    largest[process.pid] = max(largest.get(process.pid, 0), process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    with workers(len(os.sched_getaffinity(0))) as client:
        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        convert(folder, folder / "out.zarr", client)
        seconds = time.perf_counter() - began
        done.set()
        watcher.join()
    planner = largest.pop(os.getpid())
    print(
        f"{size / 1e9:.2f} GB of {frames} frames in {seconds:.0f} s: largest worker {max(largest.values()) / 1e9:.2f} GB, "
        f"planning process {planner / 1e9:.2f} GB"
    )


def rows() -> list[Row]:
    """Compare the speeds, or print the memory where a size is given."""
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:] and sys.argv[1].replace(".", "").isdigit():
            memory(Path(folder), float(sys.argv[1]))
            return []
        return throughput(Path(folder))


if __name__ == "__main__":
    rows()
