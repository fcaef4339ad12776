"""Files mutated at random: read or refused, and never anything else. DASKGLASS_FUZZ_EXAMPLES sets how many."""

import gzip
import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daskglass.errors import TrajectoryError
from daskglass.trajectories import get_format
from tests.trajectories.files import COLUMNS, PACK, assert_one_line_naming, dump_text, make_run, write_dump, write_gsd

EXAMPLES = int(os.environ.get("DASKGLASS_FUZZ_EXAMPLES", "10000"))
RUN = make_run(frames=3, particles=5)
CASES = {
    "gsd": ("gsd", lambda path: write_gsd(path, RUN, log=True)),
    "gsd of many frames": ("gsd", lambda path: write_gsd(path, make_run(frames=40, particles=2), log=True)),
    "unwrapped dump": ("lammps", lambda path: write_dump(path, RUN, COLUMNS["unwrapped"])),
    "dump of many columns": ("lammps", lambda path: write_dump(path, RUN, COLUMNS["in another order"], end=" ")),
    **{f"dump of {pack}": ("lammps", lambda path, pack=pack: write_dump(path, RUN, pack=pack)) for pack in PACK},
}
# words a parser may trip over, between those of the files themselves
WORDS = [
    *b'nan inf 1e999 -1 0 1_0 0x10 True 1e5 999999999999999999999999 " \0 # \xff\xfe'.split(),
    b"\r",
    *dump_text(RUN).encode().split(b"\n")[:12],
    *(value.to_bytes(8, "little") for value in (0, 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1)),
]

places = st.floats(0, 1, exclude_max=True)
mutations = st.one_of(
    st.tuples(st.just("flip"), places, st.integers(1, 255)),
    st.tuples(st.just("set"), places, st.one_of(st.sampled_from(WORDS), st.binary(min_size=1, max_size=9))),
    st.tuples(st.just("insert"), places, st.one_of(st.sampled_from(WORDS), st.binary(min_size=1, max_size=9))),
    st.tuples(st.just("delete"), places, st.integers(1, 300)),
    st.tuples(st.just("duplicate"), places, st.integers(1, 300)),
    st.tuples(st.just("truncate"), places, st.none()),
)


def mutated(content, mutation):
    kind, place, what = mutation
    # half of all places within the first kilobyte or so, where headers are
    at = int(place * 2 * min(len(content), 1200)) if place < 0.5 else int((2 * place - 1) * len(content))
    head, tail = content[:at], content[at:]
    match kind:
        case "flip":
            return head + bytes([tail[0] ^ what]) + tail[1:] if tail else content
        case "set":
            return head + what + tail[len(what) :]
        case "insert":
            return head + what + tail
        case "delete":
            return head + tail[what:]
        case "duplicate":
            return head + tail[:what] + tail
        case _:
            return head


def assert_read_or_refused(name, path):
    reader = get_format(name)
    try:
        scan = reader.scan(path)
        assert len(scan.boxes) == len(scan.steps) > 0
        for frame in reader.frames(path, 0, len(scan.steps), scan.offsets):
            assert frame.step == scan.steps[frame.index]
            assert frame.position.dtype == np.float32
            assert frame.position.shape == (len(scan.typeid), 3)
            assert len(frame.typeid) == len(scan.typeid)
            assert frame.typeid.max() < len(frame.types)
            assert frame.image is not None or not scan.images
            assert (np.isfinite(frame.box) & (frame.box > 0)).all()
            assert set(frame.quantities) == set(scan.quantities)
    except TrajectoryError as error:
        assert_one_line_naming(path, error)


@pytest.mark.long
@pytest.mark.parametrize(("name", "write"), CASES.values(), ids=CASES.keys())
def test_a_mutated_file_is_read_or_refused(tmp_path, name, write):
    path = write(tmp_path / "file")
    content = path.read_bytes()
    compressed = content[:2] == b"\x1f\x8b"

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(mutations, min_size=1, max_size=4), st.booleans())
    def check(changes, within):
        # of a compressed file, either what is compressed or what compression made of it
        within &= compressed
        changed = gzip.decompress(content) if within else content
        for change in changes:
            changed = mutated(changed, change)
        path.write_bytes(gzip.compress(changed, 1) if within else changed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_read_or_refused(name, path)

    check()
