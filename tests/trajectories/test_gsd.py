"""The GSD reader: what a good file holds, and a clear word for each kind of bad one."""

import gsd.fl
import gsd.hoomd
import numpy as np
import pytest

from daskglass.errors import TrajectoryError
from daskglass.trajectories.gsd import frames, scan
from tests.conftest import DATA
from tests.trajectories.files import ENERGY, PRESSURE, gsd_frames, make_run, write_frames, write_gsd

RUN = make_run(frames=5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "traj.gsd"


def read(path):
    return list(frames(path, 0, len(scan(path).steps)))


def changed(index, frames=5, **changes):
    """Frames of the run, in one of which something is changed: `box=…`, or what `particles` holds."""
    made = list(gsd_frames(RUN))[:frames]
    for name, value in changes.items():
        setattr(made[index].configuration if name == "box" else made[index].particles, name, value)
    return made


def test_a_scan_reads_all_but_positions(path):
    found = scan(write_gsd(path, RUN, log=True))
    assert found.steps.tolist() == RUN.step.tolist()
    assert found.boxes.tolist() == [RUN.box.tolist()] * 5
    assert found.types == ("1", "2")
    assert found.typeid.tolist() == RUN.typeid.tolist()
    assert found.images
    assert found.quantities == ("potential_energy", "pressure")


def test_frames_hold_the_bytes_that_were_written(path):
    for k, snapshot in enumerate(read(write_gsd(path, RUN, log=True))):
        assert (snapshot.index, snapshot.step) == (k, RUN.step[k])
        assert snapshot.position.tobytes() == RUN.position[k].tobytes()
        assert snapshot.image.tobytes() == RUN.image[k].tobytes()
        assert snapshot.typeid.tobytes() == RUN.typeid.tobytes()
        assert snapshot.quantities == {"potential_energy": -100.0 - k, "pressure": 6.5 + k}


def test_frames_are_those_of_the_gsd_library(path):
    write_gsd(path, RUN)
    with gsd.hoomd.open(path, "r") as file:
        for snapshot, frame in zip(read(path), file, strict=True):
            np.testing.assert_array_equal(snapshot.position, frame.particles.position)
            np.testing.assert_array_equal(snapshot.image, frame.particles.image)
            np.testing.assert_array_equal(snapshot.box, frame.configuration.box[:3])


def with_chunk(path, name):
    """Give the last frame of a file a chunk of another name."""
    write_gsd(path, RUN)
    with gsd.fl.open(path, "r+") as file:
        file.write_chunk(name, np.arange(3.0))
        file.end_frame()
    return path


@pytest.mark.parametrize("name", ["mine/notes", "particles/weight", "configuration/temperature", "notes"])
def test_chunks_of_ones_own_are_passed_over(path, name):
    found = read(with_chunk(path, name))
    assert [frame.position.tobytes() for frame in found[:5]] == [x.tobytes() for x in RUN.position]
    assert len(found) == 6


def test_a_chunk_one_letter_from_a_name_the_reader_knows_is_damage(path):
    write_gsd(path, RUN, images=False)
    with gsd.fl.open(path, "r+") as file:
        file.write_chunk("particles/imagf", np.arange(3.0))
        file.end_frame()
    with pytest.raises(TrajectoryError, match="'particles/imagf' must be 'particles/image'"):
        scan(path)


def test_a_name_cut_in_two_by_a_byte_of_zero_is_damage(path):
    content = write_gsd(path, RUN).read_bytes()
    path.write_bytes(content.replace(b"particles/image", b"particles/im\0ge"))
    with pytest.raises(TrajectoryError, match="must be 'particles/image'"):
        scan(path)


def test_two_names_joined_by_a_byte_are_damage(path):
    content = write_gsd(path, RUN).read_bytes()
    path.write_bytes(content.replace(b"particles/N\0", b"particles/N_"))
    with pytest.raises(TrajectoryError, match="damaged"):
        scan(path)


def test_any_range_of_frames_is_read_alone(path):
    assert [snapshot.index for snapshot in frames(write_gsd(path, RUN), 2, 4)] == [2, 3]


def test_a_scan_reports_missing_images(path):
    write_gsd(path, RUN, images=False)
    assert not scan(path).images
    assert all(snapshot.image is None for snapshot in read(path))


@pytest.mark.parametrize(("name", "images"), [("hoomd.gsd", False), ("hoomd_momentum.gsd", True)])
def test_files_of_hoomd_itself_are_read(name, images):
    found = scan(DATA / name)
    assert found.steps.tolist() == list(range(2050, 2650, 50))
    assert found.boxes.tolist() == [[4.0, 4.0, 4.0]] * 12
    assert found.types == ("A", "B")
    assert found.typeid.tolist() == [0] * 51 + [1] * 13
    assert found.quantities == ("potential_energy", "pressure")
    assert found.images == images


def test_images_that_hoomd_wrote_in_frame_0_alone_are_known_there_alone():
    first = next(frames(DATA / "hoomd_momentum.gsd", 0, 1)).image
    assert first.any()
    found = read(DATA / "hoomd.gsd")
    np.testing.assert_array_equal(found[0].image, first)
    assert all(snapshot.image is None for snapshot in found[1:])


@pytest.mark.parametrize("name", ["hoomd.gsd", "hoomd_momentum.gsd"])
def test_a_frame_read_alone_is_what_it_is_among_all(name):
    for k, expected in enumerate(read(DATA / name)):
        (found,) = frames(DATA / name, k, k + 1)
        np.testing.assert_array_equal(found.position, expected.position)
        np.testing.assert_array_equal(found.image, expected.image)


@pytest.mark.parametrize(("application", "known"), [("HOOMD-blue 4.8.2", False), ("gsd.hoomd 5.0.1", True)])
def test_images_left_out_of_a_frame_are_those_of_frame_0_unless_hoomd_wrote_the_file(path, application, known):
    write_images(path, application, {0, 3, 4})
    found = read(path)
    assert scan(path).images == known
    assert [snapshot.image is not None for snapshot in found] == [True, known, known, True, True]
    assert found[3].image.tolist() == [[3, 0, 0]]
    if known:
        assert found[2].image.tolist() == found[0].image.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("application", ["HOOMD-blue 4.8.2", "gsd.hoomd 5.0.1"])
def test_images_of_a_frame_0_without_them_are_zero_where_later_frames_have_them(path, application):
    write_images(path, application, {1, 2, 3, 4})
    assert scan(path).images
    assert [snapshot.image.tolist() for snapshot in read(path)] == [[[k, 0, 0]] for k in range(5)]


def test_an_application_that_is_not_text_is_damage_where_the_meaning_of_images_depends_on_it(path):
    write_images(path, "HOOMD-blue 4.8.2", {0, 3, 4})
    path.write_bytes(path.read_bytes().replace(b"HOOMD-blue", b"HOOMD-b\xecue"))
    with pytest.raises(TrajectoryError, match=r"damaged .* application name is not text"):
        scan(path)


def test_images_of_a_file_of_one_frame_are_known(path):
    write_images(path, "HOOMD-blue 4.8.2", {0}, frames=1)
    assert scan(path).images
    assert read(path)[0].image is not None


def write_images(path, application, held, frames=5):
    """One particle that gains an image with every frame; `held` are the frames in which its image is written."""
    with gsd.fl.open(str(path), "w", application, "hoomd", (1, 4)) as file:
        for k in range(frames):
            file.write_chunk("particles/N", np.array([1], np.uint32))
            file.write_chunk("particles/position", np.zeros((1, 3), np.float32))
            if k in held:
                file.write_chunk("particles/image", np.array([[k, 0, 0]], np.int32))
            file.end_frame()


def test_positions_may_be_unwrapped_where_there_are_no_images(path):
    made = list(gsd_frames(RUN, images=False))
    made[1].particles.position = made[1].particles.position + 100
    assert read(write_frames(path, made))[1].position.min() > 90


def test_images_absent_from_a_frame_are_those_of_frame_0(path):
    found = read(write_frames(path, changed(3, image=RUN.image[0])))
    np.testing.assert_array_equal(found[3].image, RUN.image[0])
    np.testing.assert_array_equal(found[4].image, RUN.image[4])


def test_images_absent_from_frame_0_are_zero(path):
    found = read(write_frames(path, changed(0, image=np.zeros((20, 3), np.int32))))
    assert not found[0].image.any()
    np.testing.assert_array_equal(found[1].image, RUN.image[1])


def test_a_box_that_changes_is_read_with_each_frame(path):
    found = scan(write_frames(path, changed(2, box=[5.5, 6, 7, 0, 0, 0])))
    assert found.boxes[:, 0].tolist() == [5, 5, 5.5, 5, 5]


def test_a_particle_may_change_its_type(path):
    typeid = np.roll(RUN.typeid, 1)
    found = read(write_frames(path, changed(2, typeid=typeid)))
    assert [snapshot.typeid.tolist() for snapshot in found[1:4]] == [list(RUN.typeid), list(typeid), list(RUN.typeid)]


def test_a_logged_timestep_is_the_step_of_frames_without_one_in_their_configuration(path):
    made = list(gsd_frames(RUN))
    for k, frame in enumerate(made):
        frame.configuration.step = None
        frame.log = {"Simulation/timestep": np.array([1000 * k])}
    assert scan(write_frames(path, made)).steps.tolist() == [0, 1000, 2000, 3000, 4000]


def test_a_logged_timestep_other_than_the_step_of_the_configuration_is_refused(path):
    made = list(gsd_frames(RUN))
    for frame, step in zip(made, RUN.step, strict=True):
        frame.log = {"Simulation/timestep": np.array([step])}
    assert scan(write_frames(path, made)).steps.tolist() == RUN.step.tolist()
    made[3].log["Simulation/timestep"][0] += 1
    with pytest.raises(
        TrajectoryError, match=r"frame 3: log/Simulation/timestep is 851, but configuration/step is 850"
    ):
        scan(write_frames(path, made))


def test_positions_in_double_precision_are_rounded_to_single(path):
    with gsd.fl.open(str(path), "w", "test", "hoomd", (2, 0)) as file:
        for name, data in (
            ("configuration/box", np.array([1 / 3 + 5, 6, 7, 0, 0, 0])),
            ("particles/N", np.array([1], np.uint32)),
            ("particles/position", np.array([[0.1, 0.2, 0.3]])),
        ):
            file.write_chunk(name, data)
        file.end_frame()
    assert read(path)[0].position.tolist() == np.float32([[0.1, 0.2, 0.3]]).tolist()
    assert scan(path).boxes[0, 0] == np.float32(1 / 3 + 5)


def test_what_is_not_finite_is_passed_on(path):
    position = RUN.position[1].copy()
    position[7] = [np.nan, np.inf, 0]
    found = read(write_frames(path, changed(1, position=position)))
    np.testing.assert_array_equal(found[1].position, position)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "has no frames"),
        ([gsd.hoomd.Frame()], "has no"),
        (changed(0, box=[5, 6, 7, 0.1, 0, 0]), r"frame 0: box .* orthorhombic"),
        (changed(2, box=[5, 6, 0, 0, 0, 0]), "frame 2: box"),
        (changed(3, box=[5, -6, 7, 0, 0, 0]), "frame 3: box"),
        (changed(3, box=[5, np.nan, 7, 0, 0, 0]), "frame 3: box"),
        (changed(3, box=[5, np.inf, 7, 0, 0, 0]), "frame 3: box"),
        (changed(1, types=["1", "3"]), "frame 1: the particle types differ"),
        (
            changed(0, frames=1, types=["1"]),
            "frame 0: particle 16 is of type 1, but particles/types of frame 0 has 1 names: name every type",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_frame(path, made, message):
    write_frames(path, made)
    with pytest.raises(TrajectoryError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("text", [b"A\0A\0", b"A\0\0\0", b"\xff\0B\0"])
def test_types_repeated_or_nameless_are_refused(path, text):
    with gsd.fl.open(str(path), "w", "test", "hoomd", (1, 4)) as file:
        file.write_chunk("particles/N", np.array([1], np.uint32))
        file.write_chunk("particles/types", np.frombuffer(text, np.int8).reshape(2, 2))
        file.end_frame()
    with pytest.raises(TrajectoryError, match="particle type"):
        scan(path)


def test_two_dimensions_are_refused(path):
    made = list(gsd_frames(RUN))
    for frame in made:
        frame.configuration.dimensions = 2
    with pytest.raises(TrajectoryError, match=r"frame 0: box .* of 2 dimensions"):
        scan(write_frames(path, made))


def test_a_number_of_particles_that_changes_is_refused(path):
    made = [*gsd_frames(RUN), *gsd_frames(make_run(particles=21))]
    with pytest.raises(TrajectoryError, match="frame 5: 21 particles, but 20 in frame 0: write the same particles"):
        scan(write_frames(path, made))


@pytest.mark.parametrize("without", [0, 3, 4])
def test_a_quantity_logged_in_some_frames_only_is_refused(path, without):
    made = list(gsd_frames(RUN, log=True))
    made[without].log = {PRESSURE: np.array([1.0])}
    with pytest.raises(TrajectoryError, match=f"frame {without}: log/{ENERGY} is missing, but logged in other frames"):
        scan(write_frames(path, made))


def test_a_quantity_of_several_values_is_refused(path):
    made = list(gsd_frames(RUN))
    for frame in made:
        frame.log = {PRESSURE: np.array([1.0, 2.0])}
    with pytest.raises(TrajectoryError, match=r"frame 0: log/.*pressure has 2 values, expected 1"):
        scan(write_frames(path, made))


def test_a_file_of_another_schema_is_refused(path):
    with gsd.fl.open(str(path), "w", "test", "mine", (1, 0)) as file:
        file.write_chunk("configuration/step", np.array([1], np.uint64))
        file.end_frame()
    with pytest.raises(TrajectoryError, match="schema 'mine' 1"):
        scan(path)


def test_frames_beyond_the_end_are_refused(path):
    write_gsd(path, RUN)
    with pytest.raises(TrajectoryError, match="has 5 frames, expected 6"):
        list(frames(path, 0, 6))
