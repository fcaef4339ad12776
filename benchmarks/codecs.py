"""Codecs of positions: how fast they write and read, and how small they make a simulated trajectory."""

import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, TransposeCodec, ZstdCodec

import daskglass as dg
from benchmarks.timing import Row, ratio
from daskglass.engines import get_engine
from daskglass.store.blocks import quantize

PARTICLES, FRAMES, CHUNK = 4096, 64, 16
RUNS = 3
TIMES_LAST = [TransposeCodec(order=(1, 2, 0))]
Codec = tuple[list[TransposeCodec], BytesBytesCodec | None, float | None]
CODECS: dict[str, Codec] = {
    "none": ([], None, None),
    "zstd": ([], ZstdCodec(level=3), None),
    "blosc zstd, bit shuffle": ([], BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), None),
    "blosc zstd, byte shuffle, times last": (TIMES_LAST, BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), None),
    "blosc lz4, bit shuffle, times last": (TIMES_LAST, BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), None),
    "blosc zstd, bit shuffle, times last": (
        TIMES_LAST, BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), None,
    ),
    "the same, precision 1e-4": (TIMES_LAST, BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), 1e-4),
}  # fmt: skip


DEFAULT = "blosc zstd, bit shuffle, times last"


def trajectory() -> np.ndarray:
    """Frames (time, particle, xyz) of a supercooled liquid, one per τ."""
    mixture = dg.built_in("ka_0.0")[0]
    frames = np.empty((FRAMES, PARTICLES, 3), np.float32)
    with get_engine("lammps").start(mixture, PARTICLES, 1, 0.7, 0.004) as simulation:
        simulation.run(1000)
        for k in range(FRAMES):
            simulation.run(100)
            frames[k] = simulation.positions()
    return frames


def rows() -> list[Row]:
    """Write and read the frames with every codec."""
    frames = trajectory()
    megabytes = frames.nbytes / 1e6
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in CODECS}
        sizes = {}
        for _ in range(RUNS + 1):
            for name, (filters, compressor, precision) in CODECS.items():
                path = Path(folder) / f"{len(sizes)}.zarr"
                began = time.perf_counter()
                array = zarr.create_array(
                    store=path, shape=frames.shape, chunks=(CHUNK, PARTICLES, 3), dtype="float32", filters=filters,
                    compressors=[compressor] if compressor else None, overwrite=True,
                )  # fmt: skip
                array[:] = quantize(frames, precision)
                written = time.perf_counter()
                array[:]
                times[name][0].append(written - began)
                times[name][1].append(time.perf_counter() - written)
                sizes[name] = array.nbytes_stored() / 1e6
    speeds = {name: [[megabytes / each for each in way[1:]] for way in both] for name, both in times.items()}
    for name in CODECS:
        if name == DEFAULT:
            continue
        for way, verb in enumerate(("written", "read")):
            found.append(ratio(f"{DEFAULT}, {verb}", speeds[DEFAULT][way], name, speeds[name][way], unit="MB/s"))
        found.append(ratio(f"{DEFAULT}, size", [sizes[DEFAULT]], name, [sizes[name]], unit="MB"))
    return found


if __name__ == "__main__":
    rows()
