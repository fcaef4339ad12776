"""Unwrapping: a walk that was wrapped into boxes is found again, however it is cut into blocks."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskglass.errors import TrajectoryError
from daskglass.trajectories import Snapshot, gsd
from daskglass.trajectories.unwrapping import FAR, read_frames, species_codes
from tests.conftest import DATA
from tests.trajectories.files import Run, write_gsd

PATH = Path("traj.gsd")
SPECIES = np.zeros(5, np.int8)


class Memory:
    """Format of one trajectory in memory; `known` are the frames whose images are known, by default all."""

    def __init__(self, position, box, image=None, known=None, typeid=SPECIES, types=("A",)):
        self.position, self.box, self.image, self.typeid, self.types = position, box, image, typeid, types
        self.known = range(len(position)) if known is None else known

    def frames(self, path, start, stop, offsets=()):
        for k in range(start, stop):
            image = self.image[k] if self.image is not None and k in self.known else None
            yield Snapshot(k, 10 * k, self.box[k], self.position[k], image, self.types, self.typeid)


def wrapped(walk, box):
    """Positions within the box, and the images of their particles, of a walk in fractions of its edges."""
    image = np.rint(walk)
    return ((walk - image) * box[:, None]).astype(np.float32), image.astype(np.int32)


@st.composite
def walks(draw, farthest=0.98 * FAR):
    """Random walk of five particles in fractions of the edges of a box, constant or breathing: it takes them along."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frames = draw(st.integers(2, 40))
    edges = np.array(draw(st.tuples(*[st.floats(1.0, 100.0)] * 3)))
    breathing = draw(st.sampled_from([0.0, 1e-3, 0.05]))
    box = np.float32(edges * (1 + breathing * rng.uniform(-1, 1, (frames, 3)))).astype(np.float64)
    steps = rng.uniform(-farthest, farthest, (frames, len(SPECIES), 3))
    return rng.uniform(-0.5, 0.5, (len(SPECIES), 3)) + np.cumsum(steps, axis=0), box


def read(memory, start, stop, before=None, images="checked"):
    return read_frames(PATH, memory, start, stop, SPECIES, ["A"], before=before, images=images).position


@given(walks())
def test_a_wrapped_walk_is_found_again_up_to_the_image_of_its_first_frame(given_walk):
    walk, box = given_walk
    position, image = wrapped(walk, box)
    found = read(Memory(position, box), 0, len(walk))
    np.testing.assert_array_equal(found, (position + (image - image[0]) * box[:, None]).astype(np.float32))


@given(walks(), st.data())
def test_blocks_of_any_length_give_what_the_whole_gives(given_walk, data):
    walk, box = given_walk
    memory = Memory(wrapped(walk, box)[0], box)
    cuts = data.draw(st.sets(st.integers(1, len(walk) - 1), max_size=6))
    edges, before, parts = [0, *sorted(cuts), len(walk)], None, []
    for start, stop in itertools.pairwise(edges):
        parts.append(read(memory, start, stop, before))
        before = parts[-1][-1]
    np.testing.assert_array_equal(np.concatenate(parts), read(memory, 0, len(walk)))


@given(walks(), st.data())
def test_images_known_in_some_frames_give_what_images_in_all_give(given_walk, data):
    walk, box = given_walk
    position, image = wrapped(walk, box)
    expected = read(Memory(position, box, image), 0, len(walk))
    known = {0} | data.draw(st.sets(st.integers(0, len(walk) - 1)))
    memory = Memory(position, box, image, known)
    np.testing.assert_array_equal(read(memory, 0, len(walk)), expected)
    start = data.draw(st.integers(1, len(walk) - 1))
    np.testing.assert_array_equal(read(memory, start, len(walk), before=expected[start - 1]), expected[start:])


def read_hoomd(name, start, stop, before=None):
    codes = gsd.scan(DATA / name).typeid
    return read_frames(DATA / name, gsd, start, stop, codes, ["A", "B"], before=before).position


def test_files_of_hoomd_with_images_in_frame_0_and_in_all_unwrap_to_the_same_bytes():
    images = [snapshot.image for snapshot in gsd.frames(DATA / "hoomd_momentum.gsd", 0, 12)]
    assert np.diff(images, axis=0).any(axis=(1, 2)).all()
    assert read_hoomd("hoomd.gsd", 0, 12).tobytes() == read_hoomd("hoomd_momentum.gsd", 0, 12).tobytes()


@given(st.sets(st.integers(1, 11)))
def test_ranges_of_a_file_of_hoomd_continue_each_other_to_the_byte(cuts):
    before, parts = None, []
    for start, stop in itertools.pairwise([0, *sorted(cuts), 12]):
        parts.append(read_hoomd("hoomd.gsd", start, stop, before))
        before = parts[-1][-1]
    assert np.concatenate(parts).tobytes() == read_hoomd("hoomd_momentum.gsd", 0, 12).tobytes()


@given(walks())
def test_images_of_the_file_unwrap_any_frame_alone(given_walk):
    walk, box = given_walk
    position, image = wrapped(walk, box)
    memory = Memory(position, box, image)
    k = len(walk) - 1
    np.testing.assert_array_equal(read(memory, k, k + 1)[0], (position[k] + image[k] * box[k]).astype(np.float32))


@given(walks())
def test_wrapping_gives_the_positions_of_the_file_again(given_walk):
    walk, box = given_walk
    position, _ = wrapped(walk, box)
    found = read(Memory(position, box), 0, len(walk))
    fraction = (found - position) / box[:, None]
    np.testing.assert_allclose(fraction, np.rint(fraction), atol=1e-5)


@given(walks(), st.floats(FAR + 0.01, 0.5), st.data())
def test_a_step_too_far_to_be_followed_names_frame_and_particle(given_walk, far, data):
    walk, box = given_walk
    frame = data.draw(st.integers(1, len(walk) - 1))
    particle, axis = data.draw(st.integers(0, len(SPECIES) - 1)), data.draw(st.integers(0, 2))
    walk[frame:, particle, axis] += walk[frame - 1, particle, axis] + far - walk[frame, particle, axis]
    memory = Memory(wrapped(walk, box)[0], box)
    with pytest.raises(TrajectoryError, match=rf"traj.gsd: frame {frame}: particle {particle} moved by 0.[45]\d* of"):
        read(memory, 0, len(walk))
    with pytest.raises(TrajectoryError, match=f"frame {frame}: particle {particle}"):
        read(memory, frame, len(walk), before=read(memory, 0, frame)[-1])


@given(walks(), st.data())
def test_images_that_start_again_name_frame_particle_and_both_displacements(given_walk, data):
    walk, box = given_walk
    position, image = wrapped(walk, box)
    frame = data.draw(st.integers(1, len(walk) - 1))
    particle, axis = data.draw(st.integers(0, len(SPECIES) - 1)), data.draw(st.integers(0, 2))
    image[frame:, particle, axis] += data.draw(st.sampled_from([-7, -1, 1, 2]))
    memory = Memory(position, box, image)
    message = (
        rf"traj.gsd: frame {frame}: particle {particle} moved by -?[\d.]+ of the box along {'xyz'[axis]} .* images, "
        r"by -?0.[0-4]\d* to its nearest .* `ignore_images: true` under source.trajectories, or --ignore-images"
    )
    for start in {0, frame}:
        with pytest.raises(TrajectoryError, match=message):
            read(memory, start, len(walk))


@given(walks(), st.data())
def test_images_that_are_ignored_are_as_if_there_were_none(given_walk, data):
    walk, box = given_walk
    position, image = wrapped(walk, box)
    image[len(walk) // 2 :] = 0
    memory, start = Memory(position, box, image), data.draw(st.integers(1, len(walk) - 1))
    expected = read(Memory(position, box), 0, len(walk))
    np.testing.assert_array_equal(read(memory, 0, len(walk), images="ignored"), expected)
    later = read(memory, start, len(walk), expected[start - 1], images="ignored")
    np.testing.assert_array_equal(later, expected[start:])


@pytest.mark.parametrize("images", ["checked", "trusted"])
def test_positions_outside_the_box_are_refused_where_images_are_known(images):
    box, position = np.full((2, 3), 4.0), np.zeros((2, 5, 3), np.float32)
    position[1, 3, 1] = 4 * 0.61
    memory = Memory(position, box, np.zeros(position.shape, np.int32))
    with pytest.raises(TrajectoryError, match=r"frame 1: particle 3 at .* is outside the box .*ignore-images"):
        read(memory, 0, 2, images=images)


@given(walks(), st.integers(-3, 3))
def test_positions_outside_the_box_are_put_back_into_it_where_images_are_ignored(given_walk, boxes):
    walk, box = given_walk
    position, image = wrapped(walk, box)
    moved = position.copy()
    # by other boxes from frame to frame: too far to be followed without
    moved[1::2, 2] += (boxes * box[1::2]).astype(np.float32)
    found = read(Memory(moved, box, image), 0, len(walk), images="ignored")
    expected = read(Memory(position, box), 0, len(walk))
    shift = (found - expected) / box[:, None]
    # up to the image of the first frame
    np.testing.assert_allclose(shift, np.broadcast_to(np.rint(shift[0]), shift.shape), atol=1e-5)


def test_particles_of_an_engine_may_move_as_far_as_their_images_give():
    box, image = np.full((2, 3), 4.0), np.zeros((2, 5, 3), np.int32)
    image[1, 2, 0] = 3
    position = np.zeros((2, 5, 3), np.float32)
    found = read(Memory(position, box, image), 0, 2, images="trusted")
    assert found[1, 2, 0] == 12.0


def test_positions_outside_the_box_need_no_images():
    box = np.full((3, 3), 4.0)
    walk = np.zeros((3, 5, 3), np.float32) + np.array([[[9.0]], [[9.5]], [[10.4]]], np.float32)
    np.testing.assert_array_equal(read(Memory(walk, box), 0, 3), walk)


def test_a_jump_over_several_boxes_is_refused():
    position = np.zeros((2, 5, 3), np.float32)
    position[1, 3, 1] = 8.1
    with pytest.raises(TrajectoryError, match=r"frame 1: particle 3 moved by 2.03 of the box"):
        read(Memory(position, np.full((2, 3), 4.0)), 0, 2)


def test_a_particle_at_no_place_names_frame_and_particle():
    position = np.zeros((3, 5, 3), np.float32)
    for bad in (np.nan, np.inf, -np.inf):
        position[2, 4, 1] = bad
        with pytest.raises(
            TrajectoryError, match="frame 2: position of particle 4 is not finite: read only the frames before"
        ):
            read(Memory(position, np.full((3, 3), 4.0)), 0, 3)


def test_a_first_frame_that_is_not_finite_leaves_no_frames_to_take():
    position = np.full((1, 5, 3), np.nan, np.float32)
    with pytest.raises(TrajectoryError, match="frame 0: position of particle 0 is not finite: leave the file out"):
        read(Memory(position, np.full((1, 3), 4.0)), 0, 1)


def test_files_of_other_particles_name_frame_and_both_numbers(tmp_path):
    typeid = np.array([0, 0, 1], np.int8)
    box, position = np.full(3, 4.0), np.full((2, 3, 3), 0.5, np.float32)
    run = Run(np.array([0, 10]), box, np.zeros(3), position, np.zeros((2, 3, 3), np.int32), typeid, ("A", "B"))
    path = write_gsd(tmp_path / "traj.gsd", run)
    with pytest.raises(TrajectoryError, match="frame 0: has 2 particles of species A, expected 1"):
        read_frames(path, gsd, 0, 2, np.array([0, 1, 1], np.int8), ["A", "B"])
    with pytest.raises(TrajectoryError, match=r"has 3 particles, expected 4: make files .* a separate system"):
        read_frames(path, gsd, 0, 2, np.zeros(4, np.int8), ["A", "B"])


@pytest.mark.parametrize(
    ("types", "names", "codes"),
    [
        (("A", "B"), ("A", "B"), [0, 1, 1]),
        (("B", "A"), ("A", "B"), [1, 0, 0]),
        (("1", "2"), ("A", "B"), [0, 1, 1]),
        (("2", "1"), ("A", "B"), [1, 0, 0]),
        (("2", "10"), ("2", "10"), [0, 1, 1]),
        (("1", "2"), ("2", "1"), [1, 0, 0]),
        (("2", "1"), ("2", "1"), [0, 1, 1]),
        (("1", "2"), ("2", "B"), [0, 1, 1]),
    ],
)
def test_types_are_species_by_their_names_or_their_numbers(types, names, codes):
    assert species_codes(PATH, types, np.array([0, 1, 1], np.int8), names).tolist() == codes


@given(walks(), st.permutations([0, 0, 1, 1, 1]), st.permutations([0, 0, 1, 1, 1]), st.booleans(), st.data())
def test_particles_of_types_drawn_anew_come_species_by_species_in_every_block(given_walk, ours, theirs, images, data):
    walk, box = given_walk
    position, image = wrapped(walk, box)
    ours, theirs = np.array(ours, np.int8), np.array(theirs, np.int8)
    types, typeid = data.draw(st.sampled_from([(("A", "B"), theirs), (("B", "A"), 1 - theirs)]))
    memory = Memory(position, box, image if images else None, typeid=typeid, types=types)
    left = {code: [p for p in range(5) if theirs[p] == code] for code in (0, 1)}
    order = [left[code].pop(0) for code in ours]
    expected = read(Memory(position, box, image if images else None), 0, len(walk))[:, order]
    start = data.draw(st.integers(1, len(walk) - 1))
    for first, before in ((0, None), (start, expected[start - 1])):
        found = read_frames(PATH, memory, first, len(walk), ours, ["A", "B"], before=before)
        np.testing.assert_array_equal(found.position, expected[first:])


def test_errors_name_particles_as_the_file_has_them():
    position = np.zeros((2, 5, 3), np.float32)
    position[1, 3] = np.nan
    memory = Memory(position, np.full((2, 3), 4.0), typeid=np.array([1, 1, 0, 0, 0], np.int8), types=("A", "B"))
    with pytest.raises(TrajectoryError, match="frame 1: position of particle 3"):
        read_frames(PATH, memory, 0, 2, np.array([0, 0, 0, 1, 1], np.int8), ["A", "B"])


def test_elements_are_species_where_they_are_what_species_are_called():
    typeid = np.array([0, 0, 1], np.int8)
    assert species_codes(PATH, ("1", "2"), typeid, ("B", "A"), ("A", "B")).tolist() == [1, 1, 0]
    assert species_codes(PATH, ("1", "2"), typeid, ("2", "1"), ("A", "B")).tolist() == [1, 1, 0]
    assert species_codes(PATH, ("1", "2"), typeid, ("big", "small"), ("A", "B")).tolist() == [0, 0, 1]
    with pytest.raises(TrajectoryError, match=r"types \['1', '2'\] are elements \['2', '1'\], and both name species"):
        species_codes(PATH, ("1", "2"), typeid, ("1", "2"), ("2", "1"))


def test_a_type_that_is_no_species_is_named():
    with pytest.raises(TrajectoryError, match=r"traj.gsd: has particles of type 'C', .*\['A', 'B'\].*`species:`"):
        species_codes(PATH, ("A", "C"), np.array([0, 1], np.int8), ("A", "B"))


def test_frames_are_read_one_at_a_time():
    """A block needs the memory of its positions, not of all its snapshots."""
    alive = []

    class Counted(Memory):
        def frames(self, path, start, stop, offsets=()):
            for snapshot in super().frames(path, start, stop):
                alive.append(snapshot.index)
                yield snapshot

    frames = read_frames(PATH, Counted(np.zeros((9, 5, 3), np.float32), np.full((9, 3), 4.0)), 2, 7, SPECIES, ["A"])
    # frame 0 has the order of the particles, and images are held against the frame before
    assert alive == [0, 1, 2, 3, 4, 5, 6]
    assert frames.step.tolist() == [20, 30, 40, 50, 60]
