"""Damaged files: refused in one line that names the file, or read with no difference but in the values that were hit."""

import gzip
import os
import re

import numpy as np
import pytest

from daskglass.errors import TrajectoryError
from daskglass.trajectories import get_format
from daskglass.trajectories.gsd_index import ENTRY, HEADER
from tests.trajectories.files import PACK, assert_one_line_naming, make_run, write_dump, write_gsd

RUN = make_run(frames=8, particles=12)
LONGER = make_run(frames=40, particles=12)  # whose index is longer than GSD makes it at first
TRUNCATIONS, FLIPS = 20, 50
WRITERS = {
    "traj.gsd": lambda path: write_gsd(path, LONGER, log=True),
    "traj.dump": lambda path: write_dump(path, RUN),
    "traj.dump.gz": lambda path: write_dump(path, RUN, pack="gzip"),
    "traj.dump.bz2": lambda path: write_dump(path, RUN, pack="bzip2"),
    "traj.dump.xz": lambda path: write_dump(path, RUN, pack="xz"),
    "traj.dump.zst": lambda path: write_dump(path, RUN, pack="zstd"),
}


def format_of(name):
    return get_format("gsd" if name.endswith("gsd") else "lammps")


def read(path):
    """All a file holds, by name, or the error that refuses it."""
    reader = format_of(path.name)
    try:
        scan = reader.scan(path)
        frames = list(reader.frames(path, 0, len(scan.steps), scan.offsets))
    except TrajectoryError as error:
        assert_one_line_naming(path, error)
        return error
    held = {name: np.array([getattr(frame, name) for frame in frames]) for name in ("step", "box", "position", "image")}
    held["type"] = np.array([[frame.types[code] for code in frame.typeid] for frame in frames])
    held |= {name: np.array([frame.quantities[name] for frame in frames]) for name in scan.quantities}
    np.testing.assert_array_equal(scan.steps, held["step"])
    np.testing.assert_array_equal(scan.boxes, held["box"])
    return held


@pytest.fixture(scope="module", params=WRITERS)
def whole(request, tmp_path_factory):
    """A file, its content, and what it holds."""
    path = WRITERS[request.param](tmp_path_factory.mktemp("damage") / request.param)
    return path, path.read_bytes(), read(path)


def damaged(whole, content):
    path, original, _ = whole
    path.write_bytes(content)
    try:
        return read(path)
    finally:
        path.write_bytes(original)


def differences(found, expected):
    """Names of what differs, and the number of values in which the largest of them does."""
    # a name of a logged quantity is free text: a damaged one is another quantity
    assert found.keys() <= expected.keys()
    assert {"potential_energy", "pressure"} >= expected.keys() - found.keys()
    count = {name: np.sum(values != expected[name]) for name, values in found.items()}
    return {name for name in count if count[name]}, max(count.values())


def test_every_truncation_is_refused_or_lost_nothing(whole):
    _, content, expected = whole
    for size in np.random.default_rng(1).integers(0, len(content), TRUNCATIONS).tolist():
        found = damaged(whole, content[:size])
        if not isinstance(found, TrajectoryError):
            kept = len(found["step"])
            assert kept < len(expected["step"]), "a file cut short was read as whole"
            assert content[:size].endswith(b"\n"), "only at the end of a frame a dump is a whole shorter one"
            assert all(np.array_equal(values, expected[name][:kept]) for name, values in found.items())


@pytest.mark.parametrize("seed", range(4))
def test_every_flipped_byte_is_refused_or_changes_no_more_than_its_value(whole, seed):
    _, content, expected = whole
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(content), FLIPS).tolist():
        flipped = bytearray(content)
        flipped[place] ^= int(rng.integers(1, 256))
        found = damaged(whole, flipped)
        if isinstance(found, TrajectoryError):
            continue
        names, count = differences(found, expected)
        # an image and its position come as one where a coordinate leaves the box
        assert names <= {"position", "image"} or len(names) <= 1
        # types and the box are held once for all frames
        assert count <= (len(expected["box"]) if names & {"type", "box"} else 3)


def test_every_byte_of_header_index_and_names_of_a_gsd_file_may_be_hit(tmp_path):
    run = make_run(frames=3, particles=2)
    path = write_gsd(tmp_path / "traj.gsd", run, log=True)
    content, expected = path.read_bytes(), read(path)
    index, names = HEADER.itemsize, content.index(b"configuration/step\0")
    entries = np.frombuffer(content[index:names], ENTRY)
    used = np.count_nonzero(entries["location"]) * ENTRY.itemsize
    rng = np.random.default_rng(0)
    for place in [*range(index), *range(index, index + used), *range(names, names + 320)]:
        flipped = bytearray(content)
        flipped[place] ^= int(rng.integers(1, 256))
        path.write_bytes(flipped)
        found = read(path)
        assert isinstance(found, TrajectoryError) or differences(found, expected)[1] == 0, place


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
        b"x" * 100_000,
        b"\x1f\x8b",
        gzip.compress(b""),
        bytes(5000),
    ],
    ids=["nothing", "a line end", "PNG", "one long line", "gzip's first bytes", "gzip of nothing", "zeros"],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert isinstance(read(path), TrajectoryError)


def test_a_dump_given_as_gsd_is_refused_and_the_reverse(tmp_path):
    dump = write_dump(tmp_path / "dump.gsd", RUN)
    gsd = write_gsd(tmp_path / "gsd.dump", RUN)
    assert re.search("not a GSD file", str(read(dump)))
    assert re.search("not a text dump of LAMMPS", str(read(gsd)))


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_file_is_refused(tmp_path, name):
    assert re.search("no such file", str(read(tmp_path / name)))


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_in_place_of_a_file_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    assert re.search("not a file", str(read(tmp_path / name)))


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_without_permission_is_refused(tmp_path, name):
    path = WRITERS[name](tmp_path / name)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("permissions do not bind this user")
    assert re.search("Permission denied", str(read(path)))


@pytest.mark.parametrize("pack", sorted(PACK.keys() - {"plain"}))
def test_a_compressed_file_cut_at_the_end_of_a_frame_is_refused(tmp_path, pack):
    path = write_dump(tmp_path / "traj", RUN, pack=pack)
    path.write_bytes(path.read_bytes()[:-4])
    assert re.search(f"{pack} file damaged or cut short", str(read(path)))


@pytest.mark.parametrize("pack", sorted(PACK.keys() - {"plain"}))
def test_damage_of_a_compressed_file_is_reported_as_such(tmp_path, pack):
    path = write_dump(tmp_path / "traj", RUN, pack=pack)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = bytes(8)
    path.write_bytes(content)
    assert re.search(f"{pack} file damaged or cut short", str(read(path)))
