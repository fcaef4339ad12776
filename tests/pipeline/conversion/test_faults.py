"""Bad files are named, fail alone, and can be fixed: every fault found by trying."""

import os
import re
import shutil
from dataclasses import replace

import gsd.hoomd
import numpy as np
import pytest

from daskglass.errors import TrajectoryError
from daskglass.pipeline import run as pipeline
from daskglass.stages import convert as converting
from daskglass.study.load import study_of_files
from tests.pipeline.conversion.damages import DAMAGES
from tests.pipeline.conversion.files import (
    BAD,
    FRAMES,
    INTERVAL,
    PARTICLES,
    PATTERN,
    PLACES,
    TIMESTEP,
    assert_mended,
    assert_others_whole,
    assert_same,
    block_key,
    causes,
    convert,
    file_of,
    first,
    make_runs,
    marks,
    production,
    walk,
    write_files,
    write_varying,
    written,
)
from tests.studies import on
from tests.trajectories.files import (
    gsd_frames,
    make_run,
    write_dump,
    write_gsd,
)


def test_files_cut_short_anywhere_fail_alone_and_can_be_fixed(good, tmp_path, client):
    rng = np.random.default_rng(1)
    bad = PLACES[1:]
    for trial in range(7):
        folder = tmp_path / str(trial)
        shutil.copytree(good / "data", folder / "data")
        for place in bad:
            path = file_of(folder, place)
            os.truncate(path, int(rng.integers(path.stat().st_size)))
        told = causes(folder, client)
        # every one of them is named once
        assert sorted(text.partition(": ")[0] for text in told) == sorted(str(file_of(folder, p)) for p in bad)
        assert_others_whole(folder, good, bad)
        assert not marks(folder).keys() & {block_key(place, k) for place in bad for k in (0, 16, 32)}
        assert_mended(folder, good, client)


def cut_dump(path):
    os.truncate(path, path.stat().st_size - 30)


def other_particles_at_the_end(path):
    write_varying(path, first(replace(make_runs()[BAD], types=("1", "2")), FRAMES - 1))
    with gsd.hoomd.open(path, "r+") as file:
        for frame in gsd_frames(make_run(frames=1, particles=PARTICLES + 1)):
            frame.configuration.step = int(file[-1].configuration.step) + INTERVAL
            file.append(frame)


@pytest.mark.parametrize(
    ("format", "write", "spoil"),
    [("lammps", write_dump, cut_dump), ("gsd", write_varying, other_particles_at_the_end)],
)
def test_a_fault_stops_those_alone_who_ask_for_frames_up_to_it(tmp_path, client, format, write, spoil):
    runs = {place: replace(run, types=("1", "2")) for place, run in make_runs().items()}
    write_files(tmp_path, runs, write)
    whole = FRAMES - 1
    assert causes(tmp_path, client, store=tmp_path / "expected.zarr", format=format, frames=whole) == []
    path = file_of(tmp_path, BAD)
    spoil(path)
    for asked in ({}, {"frames": FRAMES}):
        (told,) = causes(tmp_path, client, store=tmp_path / "bad.zarr", format=format, **asked)
        assert told.startswith(f"{path}: frame {whole}: ")
    assert causes(tmp_path, client, format=format, frames=whole) == []
    assert_same(tmp_path / "out.zarr", tmp_path / "expected.zarr")


def test_flipped_bytes_spoil_at_most_what_belongs_to_their_file(good, folder, client):
    rng = np.random.default_rng(2)
    for trial in range(17):
        shutil.copytree(good / "data", folder / "data", dirs_exist_ok=True)
        bad = [place for k, place in enumerate(PLACES) if k != trial % 4]
        for place in bad:
            path = file_of(folder, place)
            content = bytearray(path.read_bytes())
            content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
            path.write_bytes(content)
        before = written(folder / "out.zarr")
        try:
            told = list(convert(folder, client).failures.values())
            assert_others_whole(folder, good, bad)
        except TrajectoryError as error:
            # the files do not belong together
            told = [str(error)]
            assert written(folder / "out.zarr") == before
        assert all(any(str(file_of(folder, place)) in text for place in bad) for text in told), told
    shutil.copytree(good / "data", folder / "data", dirs_exist_ok=True)
    assert causes(folder, client) == []
    found, expected = (production(each / "out.zarr").drop_attrs() for each in (folder, good))
    # a box that seemed to vary keeps its place with every frame
    for name in expected.variables:
        np.testing.assert_array_equal(*np.broadcast_arrays(found[name], expected[name]))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_named_with_its_frame_fails_alone_and_can_be_fixed(good, folder, client, damage):
    break_it, message = DAMAGES[damage]
    break_it(file_of(folder, BAD))
    told = causes(folder, client)
    assert len(told) == 1
    assert "\n" not in told[0]
    assert re.match(f"{file_of(folder, BAD)}: .*{message}", told[0]), told[0]
    assert_others_whole(folder, good)
    assert_mended(folder, good, client)


def test_a_file_that_is_bad_in_the_end_leaves_no_block_that_was_unwrapped_from_nothing(folder, client):
    run = make_runs()[BAD]
    write_files(folder, make_runs(), images=False)
    write_gsd(file_of(folder, BAD), replace(run, step=np.append(run.step[:-1], 10**6)), images=False)
    assert len(causes(folder, client)) == 1
    assert np.isnan(production(folder / "out.zarr")["position"].sel(temperature=BAD[0], replica=BAD[1])).all()
    assert len(marks(folder)) == 9


def test_particles_that_move_too_far_without_images_stop_the_blocks_that_follow(tmp_path, client):
    runs = make_runs()
    write_files(tmp_path, runs, images=False)
    reference = tmp_path / "reference.zarr"
    assert causes(tmp_path, client, store=reference) == []
    position = runs[BAD].position.copy()
    position[20, 7, 1] = position[19, 7, 1] + 0.47 * 4.4 * (1 if position[19, 7, 1] < 0 else -1)
    write_gsd(file_of(tmp_path, BAD), replace(runs[BAD], position=position), images=False)
    told = causes(tmp_path, client)
    assert len(told) == 1
    assert f"{file_of(tmp_path, BAD)}: frame 20: particle 7 moved by 0.47 of the box" in told[0]
    assert "write images, or frames more often" in told[0]
    assert {start for start in (0, 16, 32) if block_key(BAD, start) in marks(tmp_path)} == {0}
    row = production(tmp_path / "out.zarr")["position"].sel(temperature=BAD[0], replica=BAD[1])
    assert np.isfinite(row[:16]).all()
    assert np.isnan(row[16:]).all()
    write_gsd(file_of(tmp_path, BAD), runs[BAD], images=False)
    assert causes(tmp_path, client) == []
    assert_same(tmp_path / "out.zarr", reference)


def others(what):
    """Write one file that is good in itself, but not of the others' kind."""
    run = walk(9)
    return {
        "particles": lambda path: write_gsd(path, walk(9, particles=50)),
        "species": lambda path: write_gsd(path, replace(run, typeid=1 - run.typeid)),
        "names": lambda path: write_gsd(path, replace(run, types=("A", "C"))),
        "interval": lambda path: write_gsd(path, replace(run, step=run.step * 2)),
        "frames": lambda path: write_gsd(path, first(run, 39)),
        "missing": lambda path: path.unlink(),
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "a link to nowhere": lambda path: (path.unlink(), path.symlink_to("nowhere")),
        "twice": lambda path: shutil.copytree(path.parents[1], path.parents[2] / "T0.50"),
    }[what]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("particles", "{bad}: particles 50 differs from 60 of {good}: they cannot be of one system"),
        ("species", "{bad}: composition A 12, B 48 differs from A 48, B 12 of {good}: make files of another"),
        ("names", "{bad}: has particles of type 'C', but the species of the system are"),
        ("interval", "{bad}: interval 500 differs from 250 of {good}: the frames of a run must be as many time steps"),
        (
            "frames",
            "{bad}: frames 39 differs from 40 of {good}: source.trajectories.frames reads",
        ),
        ("missing", "ka: no file of the production run at T = 0.5, replica 0; .* every temperature needs the same"),
        ("a folder", "ka: no file of the production run at T = 0.5, replica 0"),
        ("a link to nowhere", "{bad}: links to nowhere, which does not exist"),
        ("twice", "{bad} and .*T0.50/r0/traj are both system ka, production, temperature 0.5, replica 0"),
    ],
)
def test_files_that_do_not_belong_together_are_refused_before_anything_is_written(folder, client, what, message):
    others(what)(file_of(folder, BAD))
    told = causes(folder, client)
    assert len(told) == 1
    expected = message.replace("{bad}", str(file_of(folder, BAD))).replace("{good}", str(file_of(folder, PLACES[0])))
    assert re.match(expected, told[0]) or expected in told[0], told[0]
    assert not (folder / "out.zarr").exists()


@pytest.mark.parametrize("how", ["before it is read", "while it is read"])
def test_a_file_that_changes_while_it_is_converted_is_not_taken(good, folder, client, monkeypatch, how):
    path = file_of(folder, BAD)
    given = {"format": "gsd", "path": str(folder / PATTERN), "timestep": TIMESTEP}
    plans = pipeline.plan_files(study_of_files(folder / "out.zarr", **given), on(client))
    if how == "before it is read":
        write_gsd(path, walk(9), log=True)
    else:
        real = converting.read_frames

        def read_and_change(source, *arguments):
            frames = real(source, *arguments)
            if source == path:
                path.touch()
            return frames

        monkeypatch.setattr(converting, "read_frames", read_and_change)
    told = set(pipeline.convert(plans, on(client)).failures.values())
    assert told == {f"{path}: changed while it was being read: run again once it is whole"}
    monkeypatch.undo()
    assert_others_whole(folder, good)
    assert_mended(folder, good, client)


def test_a_file_half_written_again_costs_nothing_of_what_it_gave_before(good, folder, client):
    assert causes(folder, client) == []
    before, done = written(folder / "out.zarr"), marks(folder)
    path = file_of(folder, BAD)
    times = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-5000])
    assert len(causes(folder, client)) == 1
    assert written(folder / "out.zarr") == before
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert convert(folder, client).done == 0
    assert marks(folder) == done
