"""The GSD reader: unwrapped positions from good files, and a clear word for each kind of bad one."""

import gsd.hoomd
import numpy as np
import pytest

from daskglass.errors import TrajectoryError
from daskglass.trajectories.gsd import read_frames, read_header

BOX = [5.0, 6.0, 7.0, 0, 0, 0]


def make_frame(step=0, **changes) -> gsd.hoomd.Frame:
    rng = np.random.default_rng(step)
    frame = gsd.hoomd.Frame()
    frame.configuration.step = step
    frame.configuration.box = changes.get("box", BOX)
    frame.particles.N = 20
    frame.particles.types = changes.get("types", ["A", "B"])
    frame.particles.typeid = changes.get("typeid", [0] * 16 + [1] * 4)
    frame.particles.position = changes.get("position", rng.uniform(-2.5, 2.5, (20, 3)))
    if changes.get("images", True):
        frame.particles.image = rng.integers(-3, 4, (20, 3))
    return frame


@pytest.fixture
def write(tmp_path):
    def to_file(*frames):
        path = tmp_path / "traj.gsd"
        with gsd.hoomd.open(path, "w") as file:
            for frame in frames:
                file.append(frame)
        return path

    return to_file


def read(path, names=("A", "B")):
    header = read_header(path, names)
    return read_frames(path, 0, header.frames, names, header)


def test_positions_are_unwrapped_by_their_images(write):
    frames = [make_frame(step) for step in (100, 350, 600)]
    found = read(write(*frames))
    expected = [frame.particles.position + frame.particles.image * np.array(BOX[:3]) for frame in frames]
    np.testing.assert_allclose(found.position, expected, atol=1e-5)
    assert found.step.tolist() == [100, 350, 600]


def test_the_header_tells_species_and_interval(write):
    header = read_header(write(make_frame(100), make_frame(350)), ("A", "B"))
    assert (header.frames, header.first_step, header.interval) == (2, 100, 250.0)
    assert header.species.tolist() == [0] * 16 + [1] * 4


def test_species_are_known_by_name_not_by_number(write):
    found = read_header(write(make_frame(types=["B", "A"])), ("A", "B"))
    assert found.species.tolist() == [1] * 16 + [0] * 4


def test_logged_quantities_are_read(write):
    frame = make_frame()
    frame.log = {"md/compute/ThermodynamicQuantities/pressure": np.array([6.5])}
    assert read(write(frame)).quantities["pressure"].tolist() == [6.5]


NOT_FINITE = np.zeros((20, 3))
NOT_FINITE[7, 1] = np.nan


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "holds no frame"),
        ([make_frame(0), make_frame(1, position=NOT_FINITE)], "frame 1: position of particle 7 is not finite"),
        ([make_frame(0), make_frame(1, typeid=[0] * 15 + [1] * 5)], "frame 1: number or species"),
        ([make_frame(0, types=["A", "Cu"])], r"particle types \['A', 'Cu'\]; the system has the species"),
        ([make_frame(0, box=[5, 6, 7, 0.1, 0, 0])], "orthorhombic"),
        ([make_frame(0, box=[5, 6, 0, 0, 0, 0])], "orthorhombic"),
        ([make_frame(0), make_frame(1, box=[5, 6, 8, 0, 0, 0]), make_frame(2)], "frame 1: box"),
        ([make_frame(0, images=False)], "no images"),
    ],
)
def test_a_bad_file_is_refused_with_its_frame(write, frames, message):
    path = write(*frames)
    with pytest.raises(TrajectoryError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(write, part):
    path = write(*(make_frame(step) for step in range(20)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(TrajectoryError, match=r"traj\.gsd"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"not a GSD file at all" * 100])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "other.gsd"
    path.write_bytes(content)
    with pytest.raises(TrajectoryError, match="not a readable GSD file"):
        read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TrajectoryError, match="no such file"):
        read(tmp_path / "none.gsd")


def test_frames_beyond_the_end_are_refused(write):
    path = write(make_frame(0), make_frame(1))
    with pytest.raises(TrajectoryError, match="holds 2 frames, 3 are expected"):
        read_frames(path, 0, 3, ("A", "B"), read_header(path, ("A", "B")))
