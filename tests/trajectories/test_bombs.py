"""Small files that stand for much: refused at once, in a process that has little memory and little time."""

import bz2
import gzip
import lzma
import subprocess
import sys
import zlib

import gsd.fl
import numpy as np
import pytest

from daskglass.errors import TrajectoryError
from daskglass.trajectories import compression, gsd_index, lammps
from daskglass.trajectories.compression import zstd
from daskglass.trajectories.gsd import scan
from tests.trajectories.files import dump_text, make_run

MEMORY, SECONDS = 400_000_000, 10  # beyond what imports take; of the processor
READ = """
import resource, sys, pathlib
from daskglass.errors import TrajectoryError
from daskglass.trajectories import get_format
from daskglass.trajectories.survey import survey_file
name, path, memory, seconds = sys.argv[1:]
format = get_format(name)
taken = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(memory),) * 2)
spent = resource.getrusage(resource.RUSAGE_SELF)
limit = int(spent.ru_utime + spent.ru_stime) + int(seconds)
resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
try:
    survey_file(pathlib.Path(path), format)
except TrajectoryError as error:
    print(error)
"""
HEAD = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{}\nITEM: BOX BOUNDS pp pp pp\n0 5\n0 5\n0 5\nITEM: ATOMS {}\n"
COLUMNS = "id type x y z"


def refusal(name, path):
    """What a process of little memory and time says of a file."""
    command = [sys.executable, "-c", READ, name, str(path), str(MEMORY), str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"{path}: ")
    return done.stdout


def write_steps(path, particles, frames=1, position=None):
    """A file that holds positions in frame 0 at most."""
    with gsd.fl.open(str(path), "w", "test", "hoomd", (1, 4)) as file:
        for step in range(frames):
            if step == 0:
                file.write_chunk("particles/N", np.array([particles], np.uint32))
                if position is not None:
                    file.write_chunk("particles/position", position)
            file.write_chunk("configuration/step", np.array([step], np.uint64))
            file.end_frame()
    return path


@pytest.mark.parametrize("particles", [2, 10**8, 2**32 - 1])
def test_particles_without_positions_are_refused(tmp_path, particles):
    path = write_steps(tmp_path / "bomb.gsd", particles, frames=5)
    assert "frame 0: no particles/position" in refusal("gsd", path)


def test_one_particle_at_the_origin_needs_no_position(tmp_path):
    assert len(scan(write_steps(tmp_path / "one.gsd", 1, frames=5)).steps) == 5


def test_more_particles_than_rows_of_positions_are_refused(tmp_path):
    path = write_steps(tmp_path / "bomb.gsd", 10**8, 5, np.zeros((3, 3), np.float32))
    assert "expand to 6000 MB" in refusal("gsd", path)


def test_many_frames_that_repeat_the_first_are_refused(tmp_path):
    position = np.random.default_rng(0).uniform(-0.5, 0.5, (10_000, 3)).astype(np.float32)
    path = write_steps(tmp_path / "bomb.gsd", 10_000, 20_000, position)
    assert "expand to 2400 MB" in refusal("gsd", path)


def test_an_index_that_leaps_over_frames_is_refused(tmp_path):
    path = write_steps(tmp_path / "bomb.gsd", 1, frames=2)
    content = bytearray(path.read_bytes()) + bytes(5_000_000)
    index = np.frombuffer(content, gsd_index.ENTRY, 3, gsd_index.HEADER.itemsize)
    index["frame"][2] = 5_000_000
    path.write_bytes(content)
    assert "frame 1: is empty" in refusal("gsd", path)


@pytest.mark.parametrize("count", [10**9, 10**17])
def test_more_atoms_than_a_dump_has_bytes_for_are_refused(tmp_path, count):
    path = tmp_path / "bomb.dump"
    path.write_text(HEAD.format(count, COLUMNS) + "1 1 0.5 0.5 0.5\n")
    assert "frame 0: cut short" in refusal("lammps", path)


def test_lines_of_fewer_fields_than_columns_are_refused_before_they_are_filled_up(tmp_path):
    path = tmp_path / "bomb.dump"
    path.write_text(HEAD.format(10**6, " ".join([COLUMNS, *(f"c{k}" for k in range(9000))])) + "1\n" * 10**6)
    assert "too few for 1000000 lines of 9005 fields" in refusal("lammps", path)


def test_a_line_that_does_not_end_is_refused(tmp_path):
    path = tmp_path / "bomb.dump"
    with path.open("wb") as file:
        file.write(HEAD.format(10**6, COLUMNS).encode())
        file.truncate(10**9)
    assert "too long for atoms" in refusal("lammps", path)


def test_lines_padded_by_blanks_are_refused(tmp_path):
    path = tmp_path / "bomb.dump"
    path.write_text(HEAD.format(1000, COLUMNS) + f"1 1 0.5 0.5 0.5{' ' * 50_000}\n" * 1000)
    assert "too long for atoms" in refusal("lammps", path)


def zeros(compress, finish):
    """A frame, and then 400 MB that pack to little."""
    parts = [compress(HEAD.format(10**9, COLUMNS).encode())]
    parts += [compress(b"1 1 0 0 0\n" * 100_000) for _ in range(400)]
    return b"".join([*parts, finish()])


PACKERS = {
    "gzip": lambda: zlib.compressobj(9, wbits=31),
    "bzip2": bz2.BZ2Compressor,
    "xz": lambda: lzma.LZMACompressor(preset=0),
    "zstd": zstd.ZstdCompressor,
}


@pytest.mark.parametrize("name", ["gzip", "xz", "zstd"])
def test_a_file_that_unpacks_to_more_than_any_dump_is_refused(tmp_path, name):
    packer = PACKERS[name]()
    path = tmp_path / "bomb"
    path.write_bytes(zeros(packer.compress, packer.flush))
    assert path.stat().st_size < 5_000_000
    assert f"over 200 times as much; trajectories never do: if this is one, unpack it with {name}" in refusal(
        "lammps", path
    )


def test_an_xz_file_that_declares_a_dictionary_beyond_all_memory_is_refused(tmp_path):
    content = bytearray(lzma.compress(dump_text(make_run()).encode()))
    start, size = 12, 4 * (content[12] + 1)  # of the header of its first block, that ends with its sum
    assert content[start + 2 : start + 4] == b"\x21\x01"
    content[start + 4] = 40  # of 4 GiB
    content[start + size - 4 : start + size] = zlib.crc32(content[start : start + size - 4]).to_bytes(4, "little")
    path = tmp_path / "bomb.xz"
    path.write_bytes(content)
    assert "unpacking it with xz needs more memory than this machine has" in refusal("lammps", path)


def test_bzip2_is_bounded_too(tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "FREE", 10_000)
    path = tmp_path / "bomb"
    path.write_bytes(bz2.compress((HEAD.format(3 * 10**5, COLUMNS) + "1 1 0 0 0\n" * 3 * 10**5).encode()))
    with pytest.raises(TrajectoryError, match="unpack it with bzip2"):
        lammps.scan(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_a_dump_of_an_ideal_crystal_is_within_bounds(tmp_path, pack):
    run = make_run(frames=300, particles=64)
    run.position[:] = run.position[0]
    run.image[:] = run.image[0]
    text = dump_text(run).encode()
    assert len(text) < compression.FREE
    path = tmp_path / "crystal"
    path.write_bytes(pack(text))
    assert len(lammps.scan(path).steps) == 300
