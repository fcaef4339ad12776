"""Trajectories of several files: what they hold is what one file of the same frames would."""

import os
import subprocess
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from daskglass.errors import TrajectoryError
from daskglass.trajectories import gsd, lammps
from daskglass.trajectories.several_files import Parts, get_reader
from daskglass.trajectories.survey import Survey, survey_file
from tests.trajectories.files import COLUMNS, PACK, make_run, write_dump, write_gsd

RUN = make_run(frames=8)
STEPS = [str(step) for step in RUN.step]  # 100, 350, … 1850: the order of names is another


def cut(run, start, stop):
    frames = slice(start, stop)
    return replace(run, step=run.step[frames], position=run.position[frames], image=run.image[frames])


def write_parts(folder, run=RUN, write=write_dump, each=1, **options):
    """Write a run, `each` of its frames to a file; return the path of all and the steps in their names."""
    path, steps = folder / "dump.{step}", []
    for start in range(0, len(run.step), each):
        steps.append(str(run.step[start]))
        write(folder / f"dump.{steps[-1]}", cut(run, start, start + each), **options)
    return path, steps


def survey(path, steps, format=lammps, known=None):
    return survey_file(path, format, known, steps)


@contextmanager
def counted(monkeypatch, format=lammps):
    """Names of the files that a format opens."""
    names, real = [], format.opened
    with monkeypatch.context() as patch:
        patch.setattr(format, "opened", lambda path, *rest: (names.append(path.name), real(path, *rest))[1])
        yield names


@pytest.mark.parametrize(("format", "write"), [(gsd, write_gsd), (lammps, write_dump)])
@pytest.mark.parametrize("each", [1, 3])
def test_several_files_hold_what_one_file_holds(tmp_path, format, write, each):
    path, steps = write_parts(tmp_path, write=write, each=each)
    whole = write(tmp_path / "whole", RUN)
    one, several = survey_file(whole, format), survey(path, steps, format)
    files = {"size", "modified", "sha256", "content", "parts", "offsets"}
    assert several.model_dump(exclude=files) == one.model_dump(exclude=files)
    reader = Parts(format, steps, [part.first for part in several.parts])
    for start, stop in ((0, 8), (2, 5), (7, 8)):
        for here, there in zip(
            reader.frames(path, start, stop, several.offsets), format.frames(whole, start, stop), strict=True
        ):
            assert (here.index, here.step) == (there.index, there.step)
            np.testing.assert_array_equal(here.position, there.position)
            np.testing.assert_array_equal(here.image, there.image)


@pytest.mark.parametrize("pack", PACK)
def test_files_compressed_in_any_way_are_read(tmp_path, pack):
    path, steps = write_parts(tmp_path, pack=pack)
    assert survey(path, steps).frames == 8


def test_a_survey_of_several_files_survives_the_ledger_and_knows_them_again(tmp_path, monkeypatch):
    path, steps = write_parts(tmp_path)
    found = survey(path, steps)
    known = Survey.model_validate_json(found.model_dump_json())
    assert known == found
    with counted(monkeypatch) as opened:
        assert survey(path, steps, known=known) is known
    assert opened == []


def test_every_file_is_opened_once_to_plan_and_only_those_of_a_block_to_read_it(tmp_path, monkeypatch):
    count = 2000
    run = make_run(frames=1, particles=2)
    run = replace(
        run,
        step=10 * np.arange(count),
        position=np.repeat(run.position, count, 0),
        image=np.repeat(run.image, count, 0),
    )
    path, steps = write_parts(tmp_path, run)
    with counted(monkeypatch) as opened:
        found = survey(path, steps)
    assert len(opened) == count + 1  # and the last frame once more, to know it again
    block = found.around(1000, 1016)
    assert [part.step for part in block.parts] == ["0", *(str(10 * k) for k in range(999, 1016))]
    reader = get_reader("lammps", block.parts)
    with counted(monkeypatch) as opened:
        frames = list(reader.frames(path, 1000, 1016, block.offsets))
    assert [frame.index for frame in frames] == list(range(1000, 1016))
    assert opened == [f"dump.{10 * k}" for k in range(1000, 1016)]


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 4), (4, 8), (7, 8), (5, 6)])
def test_a_block_of_frames_keeps_the_files_it_needs(tmp_path, start, stop):
    path, steps = write_parts(tmp_path, each=3)
    found = survey(path, steps)
    reader = get_reader("lammps", found.around(start, stop).parts)
    before = max(start - 1, 0)
    for low, high in ((0, 1), (before, stop)):
        assert [x.step for x in reader.frames(path, low, high, found.offsets)] == RUN.step[low:high].tolist()


def test_a_name_of_another_time_step_than_its_file_is_refused_with_the_command_that_makes_one_file(tmp_path):
    path, steps = write_parts(tmp_path)
    for k, step in reversed(list(enumerate(steps))):
        (tmp_path / f"dump.{step}").rename(tmp_path / f"dump.{k + 7}")
    with pytest.raises(
        TrajectoryError, match=r"dump\.7: the first frame is at time step 100, but the name has 7"
    ) as error:
        survey(path, [str(k + 7) for k in range(8)])
    command = str(error.value).partition(f"in {tmp_path}: ")[2]
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert survey_file(tmp_path / "all", lammps).frames == 8


def test_a_missing_step_names_both_files_around_it(tmp_path):
    path, steps = write_parts(tmp_path)
    gone = steps.pop(4)
    message = rf"frame 4 \(.*dump\.{steps[4]}\) is at time step {steps[4]}, frame 3 \(.*dump\.{steps[3]}\) .*; expected {gone}"
    with pytest.raises(TrajectoryError, match=message):
        survey(path, steps)


def damaged(path, steps, k):
    file = path.with_name(f"dump.{steps[k]}")
    file.write_bytes(file.read_bytes()[:-30])


def other(what):
    changed = {"particles": make_run(frames=8, particles=25), "types": replace(RUN, types=("1", "3"))}
    return changed.get(what, RUN), {"columns": COLUMNS["scaled"]}.get(what, COLUMNS["wrapped"])


@pytest.mark.parametrize("what", ["particles", "types", "columns", "damage"])
def test_a_fault_names_its_file_and_spares_the_frames_before_it(tmp_path, what):
    path, steps = write_parts(tmp_path)
    if what == "damage":
        damaged(path, steps, 5)
    else:
        run, columns = other(what)
        write_dump(tmp_path / f"dump.{steps[5]}", cut(run, 5, 6), columns)
    found = survey(path, steps)
    assert found.frames == 5
    assert found.damage.startswith(f"{path}: {tmp_path}/dump.{steps[5]}: ")
    assert ("cut short" if what == "damage" else what) in found.damage
    # once it is whole, the run grew
    write_dump(tmp_path / f"dump.{steps[5]}", cut(RUN, 5, 6))
    assert survey(path, steps, known=found).frames == 8


def test_a_first_file_that_is_damaged_and_one_that_is_gone_are_named(tmp_path):
    path, steps = write_parts(tmp_path)
    damaged(path, steps, 0)
    with pytest.raises(TrajectoryError, match=rf"dump\.{steps[0]}: frame 0: cut short"):
        survey(path, steps)
    with pytest.raises(TrajectoryError, match=r"dump\.7: no such file"):
        survey(path, ["7", *steps])


@pytest.mark.parametrize("each", [1, 3])
def test_more_files_are_growth(tmp_path, each):
    path, steps = write_parts(tmp_path, each=each)
    known = survey(path, steps[:2])
    found = survey(path, steps, known=known)
    assert (found.frames, found.content, found.grew) == (8, known.content, True)


def test_a_last_file_that_grew_is_growth(tmp_path):
    path, steps = write_parts(tmp_path, cut(RUN, 0, 5), each=3)
    known = survey(path, steps)
    write_dump(tmp_path / f"dump.{steps[-1]}", cut(RUN, 3, 8))
    found = survey(path, steps, known=known)
    assert (found.frames, found.content, found.grew) == (8, known.content, True)


@pytest.mark.parametrize("what", ["changed", "gone", "added"])
def test_a_file_that_is_another_in_the_middle_makes_another_run(tmp_path, what):
    path, steps = write_parts(tmp_path, replace(RUN, step=RUN.step * 2))
    some = steps[::2] if what == "added" else steps[:6]
    known = survey(path, some)
    if what == "changed":
        write_dump(tmp_path / f"dump.{steps[2]}", cut(replace(RUN, step=RUN.step * 2, image=RUN.image + 1), 2, 3))
    assert known.is_of(path) == (what != "changed")
    found = survey(path, steps[2:] if what == "gone" else steps, known=known)
    assert not found.grew


def test_a_file_that_changes_within_its_size_and_the_latest_time_is_noticed(tmp_path):
    path, steps = write_parts(tmp_path)
    known = survey(path, steps)
    os.utime(tmp_path / f"dump.{steps[2]}", ns=(1, 1))
    found = survey(path, steps, known=known)
    assert found is not known
    assert found.inputs() != known.inputs()
