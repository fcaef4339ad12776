"""Errors hold place, problem and remedy as fields, across processes, and name settings in words of whoever shows them."""

import errno
import pickle
from dataclasses import replace

import numpy as np
import pytest

from daskglass.errors import StoreError, StudyError, TrajectoryError, in_words, setting, system_error
from daskglass.sources.surveys import check_agree
from daskglass.store.blocks import check_is_store
from daskglass.trajectories import DamagedLaterError, gsd, lammps
from daskglass.trajectories.mapping import read_table
from daskglass.trajectories.survey import survey_file
from daskglass.trajectories.unwrapping import read_frames
from tests.trajectories.files import dump_text, make_run, write_dump, write_gsd

FRAMES, TABLE = "source.trajectories.frames", "source.trajectories.table"


def fields(error):
    return error.problem, error.file, error.frame, error.remedy


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "is empty"),
        ({"file": "a.gsd", "frame": 0}, "a.gsd: frame 0: is empty"),
        ({"frame": 3, "remedy": "remove it"}, "frame 3: is empty: remove it"),
        ({"file": "a.gsd", "remedy": "remove it"}, "a.gsd: is empty: remove it"),
    ],
)
def test_the_text_joins_what_is_there(place, text):
    assert str(TrajectoryError("is empty", **place)) == text


def test_a_damaged_dump_names_file_and_frame_and_keeps_them_in_another_process(tmp_path):
    path = tmp_path / "traj.dump"
    path.write_text(dump_text(make_run())[:-30])
    with pytest.raises(DamagedLaterError) as caught:
        lammps.scan(path)
    error = caught.value
    assert fields(error)[1:] == (path, 2, "")
    assert error.problem.startswith("cut short: ")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), fields(copy), str(copy)) == (DamagedLaterError, fields(error), str(error))
    np.testing.assert_array_equal(copy.whole.steps, error.whole.steps)


def test_a_frame_that_cannot_be_unwrapped_names_its_remedy_and_keeps_it_in_another_process(tmp_path):
    run = make_run(frames=2)
    path = write_gsd(tmp_path / "traj.gsd", replace(run, image=run.image + 5 * np.arange(2)[:, None, None]))
    with pytest.raises(TrajectoryError) as caught:
        read_frames(path, gsd, 0, 2, run.typeid, run.types)
    error = caught.value
    assert fields(error)[1:3] == (path, 1)
    assert error.remedy.startswith("if a restart reset the images, ")
    assert str(error) == f"{path}: frame 1: {error.problem}: {error.remedy}"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), fields(copy), str(copy)) == (TrajectoryError, fields(error), str(error))


def test_a_missing_store_is_named_with_a_remedy(tmp_path):
    with pytest.raises(StoreError) as caught:
        check_is_store(tmp_path)
    assert fields(caught.value) == ("no store here", tmp_path, None, "create one with `daskglass run STUDY.yaml`")


def test_a_full_disk_is_named_with_a_remedy():
    error = system_error(OSError(errno.ENOSPC, "", "store.zarr"))
    assert fields(error) == ("No space left on device", "store.zarr", None, "free some space, and rerun")
    assert system_error(OSError("of no file")).file is None


def test_settings_are_called_by_their_keys_and_by_the_words_of_whoever_shows_the_error(tmp_path):
    with pytest.raises(StudyError) as caught, in_words({TABLE: "--table"}):
        read_table(tmp_path / "none.csv")
    assert caught.value.keys == (TABLE,)
    assert str(caught.value) == f"--table: {tmp_path}/none.csv: cannot be read: No such file or directory"

    paths = [write_dump(tmp_path / f"{frames}.dump", make_run(frames=frames)) for frames in (3, 4)]
    (first, one), (second, other) = ((path, survey_file(path, lammps)) for path in paths)
    with pytest.raises(TrajectoryError) as caught:
        check_agree(first, one, second, other, None)
    assert caught.value.keys == (FRAMES,)
    assert (
        str(caught.value) == f"{second}: frames 4 differs from 3 of {first}: {FRAMES} reads the first N of every file"
    )
    caught.value.words = {FRAMES: "--frames"}
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert str(error).endswith(": --frames reads the first N of every file")


def test_a_key_is_listed_once_from_problem_and_remedy():
    error = StudyError(f"{setting('a')} and {setting('b')} differ", remedy=f"change {setting('a')}")
    assert error.keys == ("a", "b")
    assert str(error) == "a and b differ: change a"
