"""What a file is before its positions are read: whether it is the same, continues what was known, or is another."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskglass.errors import TrajectoryError
from daskglass.sources.surveys import composition
from daskglass.trajectories import gsd, lammps
from daskglass.trajectories.survey import END, Survey, survey_file
from tests.trajectories.files import make_run, write_dump, write_gsd

RUN = make_run(frames=8)
WRITERS = [(gsd, write_gsd), (lammps, write_dump)]


def first(run, frames):
    return replace(run, step=run.step[:frames], position=run.position[:frames], image=run.image[:frames])


def at(path, format, steps):
    """Survey of a file whose frames are at these time steps."""
    write_gsd(path, replace(first(RUN, len(steps)), step=np.array(steps)))
    return survey_file(path, format)


@pytest.mark.parametrize(("format", "write"), WRITERS)
def test_a_survey_describes_a_file(tmp_path, format, write):
    path = write(tmp_path / "traj", RUN)
    found = survey_file(path, format)
    assert (found.frames, found.first_step, found.interval, found.particles) == (8, 100, 250, 20)
    assert (found.types, found.box, found.box_varies, found.images) == (("1", "2"), (5.0, 6.0, 7.0), False, True)
    assert found.size == path.stat().st_size
    assert found.is_of(path)


def test_a_survey_survives_the_ledger(tmp_path):
    found = survey_file(write_dump(tmp_path / "traj", RUN), lammps)
    assert Survey.model_validate(found.model_dump() | {"key": "file-traj", "at": 1.0}) == found


def test_a_file_that_is_unchanged_is_not_read_again(tmp_path):
    path = write_gsd(tmp_path / "traj", RUN)
    known = survey_file(path, gsd)
    # of another format it could not be read
    assert survey_file(path, lammps, known) is known


@pytest.mark.parametrize(("format", "write"), WRITERS)
def test_a_file_that_grows_keeps_its_content(tmp_path, format, write):
    path = tmp_path / "traj"
    known = None
    for frames in (1, 2, 5, 8):
        found = survey_file(write(path, first(RUN, frames)), format, known)
        # an interval is known from the second frame on
        assert known is None or known.frames == 1 or found.content == known.content
        assert found.frames == frames
        known = found


def other(run, what):
    """Copy the run with one thing about it changed, that the last frame known tells."""
    position, image = run.position.copy(), run.image.copy()
    position[4, 3, 1] *= 0.5
    image[4, 3, 1] += 1
    return {
        "position": replace(run, position=position),
        "image": replace(run, image=image),
        "box": replace(run, box=run.box * 1.5),
        "species": replace(run, typeid=run.typeid[::-1].copy()),
        "interval": replace(run, step=run.step * 2 - run.step[0]),
        "first step": replace(run, step=run.step + 1),
        "fewer frames": first(run, 4),
        "as many frames": first(run, 5),
    }[what]


@pytest.mark.parametrize(
    "what", ["position", "image", "box", "species", "interval", "first step", "fewer frames", "as many frames"]
)
def test_a_file_that_holds_something_else_is_another(tmp_path, what):
    path = tmp_path / "traj"
    known = survey_file(write_gsd(path, first(RUN, 5)), gsd)
    os.utime(path, ns=(known.modified + 10**9,) * 2)
    write_gsd(path, other(RUN, what))
    os.utime(path, ns=(known.modified + 2 * 10**9,) * 2)
    assert survey_file(path, gsd, known).content != known.content


def test_content_is_the_same_wherever_a_file_lies_and_another_when_it_was_written_again(tmp_path):
    path = write_gsd(tmp_path / "traj", RUN)
    known = survey_file(path, gsd)
    moved = shutil.copy2(path, tmp_path / "moved")
    assert survey_file(moved, gsd) == known
    os.utime(moved, ns=(known.modified + 1,) * 2)
    assert survey_file(moved, gsd).content != known.content


def test_a_change_of_the_last_bytes_of_a_large_file_is_seen_without_its_time(tmp_path):
    path = tmp_path / "traj"
    write_gsd(path, make_run(frames=2, particles=END // 12))
    known = survey_file(path, gsd)
    content = bytearray(path.read_bytes())
    content[len(content) - END + 100] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(known.modified,) * 2)
    assert survey_file(path, gsd).sha256 != known.sha256


def test_composition_is_given_by_names_in_any_order_of_types(tmp_path):
    swapped = replace(RUN, types=("B", "A"), typeid=(1 - RUN.typeid).astype(np.int8))
    for run in (replace(RUN, types=("A", "B")), swapped, RUN):
        path = write_gsd(tmp_path / "traj", run)
        assert composition(path, survey_file(path, gsd), ["A", "B"]) == (16, 4)


def test_what_a_ledger_of_old_knows_of_a_file_is_completed_and_the_file_stays_the_same(tmp_path):
    path = write_gsd(tmp_path / "traj", first(RUN, 5))
    known = survey_file(path, gsd)
    write_gsd(path, RUN)
    grown = survey_file(path, gsd, known)
    old = Survey.model_validate(grown.model_dump(exclude={"counts", "elements", "timestep"}) | {"species": "0" * 16})
    assert grown.grew
    assert survey_file(path, gsd, old) == grown


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(1, 8))
def test_equally_spaced_frames_are_taken_whatever_their_interval(tmp_path_factory, start, interval, frames):
    found = at(tmp_path_factory.getbasetemp() / "even.gsd", gsd, [start + k * interval for k in range(frames)])
    assert found.first_step == start
    assert found.interval == (interval if frames > 1 else 0)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([0, 10, 20, 20, 30], "frame 3: is at time step 20, like frame 2: remove the repeated frame"),
        ([5, 5, 10], "frame 1: is at time step 5, like frame 0: remove the repeated frame"),
        (
            [0, 10, 30, 20, 40],
            "frame 3: is at time step 20, before frame 2 at 30: a restart or a second run begins here",
        ),
        (
            [0, 10, 20, 10, 30],
            "frame 3: is at time step 10, .* here: keep one copy of frames 1 to 2; split",
        ),
        ([20, 10, 0], "frame 1: is at time step 10, before frame 0 at 20: a restart or a second run begins here"),
        ([5, 5, 5], "all 3 frames are at time step 5: set frame.configuration.step when"),
        ([0, 10, 20, 40, 50], "frame 3: is at time step 40, expected 30: frames are missing or not equally spaced"),
        ([0, 1, 10, 100], "frame 2: is at time step 10, expected 2: frames are missing or not equally spaced"),
    ],
)
def test_frames_not_equally_spaced_name_the_first_of_them(tmp_path, steps, message):
    with pytest.raises(TrajectoryError, match=f"traj: {message}"):
        at(tmp_path / "traj", gsd, steps)


def advised(error, folder, interval=10):
    """Run the command that an error tells."""
    text = str(error.value).split("`")[1].replace("INTERVAL", str(interval))
    subprocess.run(text.replace("python -c", f"{sys.executable} -c", 1), shell=True, cwd=folder, check=True)


@pytest.mark.parametrize(("format", "write"), WRITERS)
def test_two_runs_in_one_file_are_split_by_the_command_in_the_error(tmp_path, format, write):
    path = write(tmp_path / "a run.traj", replace(RUN, step=np.array([0, 10, 20, 0, 10, 20, 30, 40])))
    with pytest.raises(TrajectoryError, match="frame 3: is at time step 0") as error:
        survey_file(path, format)
    advised(error, tmp_path)
    for name, frames in (("first", range(3)), ("second", range(3, 8))):
        found = list(format.frames(tmp_path / f"{name}.traj", 0, len(frames)))
        assert [frame.step for frame in found] == [10 * k for k in range(len(frames))]
        for frame, k in zip(found, frames, strict=True):
            np.testing.assert_array_equal(frame.position, RUN.position[k])


@pytest.mark.parametrize(("format", "write"), WRITERS)
def test_frames_without_time_steps_get_them_by_the_command_in_the_error(tmp_path, format, write):
    path = write(tmp_path / "a run.traj", replace(RUN, step=np.zeros(8, int)))
    with pytest.raises(TrajectoryError, match="all 8 frames are at time step 0: set") as error:
        survey_file(path, format)
    advised(error, tmp_path, 250)
    found = survey_file(tmp_path / "new.traj", format)
    assert (found.frames, found.first_step, found.interval) == (8, 0, 250)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(TrajectoryError, match=f"{path}: no such file"):
            survey_file(path, gsd)


def test_frames_may_be_unevenly_spaced_where_they_need_not_be_even(tmp_path):
    steps = np.array([100, 110, 200])
    path = write_gsd(tmp_path / "uneven.gsd", replace(make_run(frames=3), step=steps))

    found = survey_file(path, gsd, even=False)

    assert found.elapsed.tolist() == [0, 10, 100]
    assert Survey.model_validate_json(found.model_dump_json()) == found
    assert survey_file(path, gsd, found, even=False) is found
    # what was learnt without the check does not stand in for it
    with pytest.raises(TrajectoryError, match="not equally spaced"):
        survey_file(path, gsd, found)
    even = survey_file(write_gsd(tmp_path / "even.gsd", make_run(frames=3)), gsd, even=False)
    assert even.elapsed.tolist() == [0, 250, 500]
    assert even.uneven == ()
