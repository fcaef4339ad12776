"""What a person sees of bad files, and conversions that are stopped: by a full disk, or killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conversion.damages import DAMAGES, moved
from tests.pipeline.conversion.files import (
    BAD,
    FRAMES,
    PATTERN,
    PLACES,
    TIMESTEP,
    assert_same,
    block_key,
    causes,
    file_of,
    make_runs,
    marks,
    production,
    write_files,
)
from tests.studies import command, command_here


def run_convert(folder, *options, pattern=PATTERN, form="gsd", by=command_here):
    return by(
        "convert", "--format", form, pattern, "out.zarr", "--timestep", TIMESTEP, "--quiet", "--report", "report.json", *options,
        folder=folder,
    )  # fmt: skip


def test_the_command_tells_each_cause_in_a_line_reports_every_file_and_finishes_once_they_are_mended(good, folder):
    cut, gap = file_of(folder, BAD), file_of(folder, PLACES[0])
    os.truncate(cut, 30_000)
    DAMAGES["frames missing"][0](gap)
    moved(20, 7, np.nan)(file_of(folder, PLACES[1]))
    done = run_convert(folder)
    assert done.returncode == 1
    *lines, last = done.stderr.splitlines()
    assert len(lines) == 3
    assert "tasks failed; fix the cause, then: " in last
    assert all(line.startswith("daskglass: data/ka/T") for line in lines)
    assert all(any(str(file_of(Path(), place)) in line for line in lines) for place in (BAD, *PLACES[:2]))
    report = json.loads((folder / "report.json").read_text())
    assert len(report["files"]) == 4
    for file in report["files"]:
        place = (file["temperature"], file["replica"])
        assert len(file["problems"]) == (place != PLACES[3])
        if place not in (BAD, PLACES[0]):
            assert (file["frames"], file["particles"], file["box"]) == (40, 60, [np.float32(4), np.float32(4.4), 5])
    shutil.copytree(good / "data", folder / "data", dirs_exist_ok=True)
    done = run_convert(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert [file["problems"] for file in json.loads((folder / "report.json").read_text())["files"]] == [[]] * 4
    assert_same(folder / "out.zarr", good / "out.zarr")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ({"pattern": "nothing/{system}/T{temperature:g}"}, 1, "no file matches nothing/{system}/T{temperature"),
        ({"pattern": "data/ka/T{temperature:g}/r{replica:d}/traj"}, 2, "no system for data/ka/T{temperature:g}"),
        ({"pattern": "data/{system"}, 2, "data/{system"),
        (
            {"form": "xyz"},
            2,
            "--format: unknown trajectory format 'xyz': choose gsd, lammps, signac or isoconfigurational",
        ),
        ({"form": "lammps"}, 1, "/traj: "),
    ],
)
def test_the_command_refuses_in_a_line_and_writes_no_store(folder, arguments, status, message):
    done = run_convert(folder, **arguments)
    assert done.returncode == status
    lines = done.stderr.splitlines()
    assert all(line.startswith("daskglass: ") for line in lines[:1])
    assert len(lines) == (4 if arguments.get("form") == "lammps" else 1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in folder.iterdir() if path.name != "report.json") == ["data"]


def test_a_full_disk_loses_nothing_and_more_room_finishes(tmp_path, client):
    disk, files = tmp_path / "disk", tmp_path / "files"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        write_files(files, make_runs(particles=2000))
        reference = files / "reference.zarr"
        assert causes(files, client, store=reference) == []
        full = run_convert(disk, pattern=str(files / PATTERN), by=command)
        assert full.returncode == 1
        assert "out.zarr" in full.stderr
        assert "No space left on device: free some space, and rerun" in full.stderr
        assert "Traceback" not in full.stderr
        position, expected = (production(store)["position"] for store in (disk / "out.zarr", reference))
        for T, replica, start in ((*place, start) for place in PLACES for start in range(0, FRAMES, 16)):
            at = {"temperature": PLACES.index((T, 0)) // 2, "replica": replica, "time": slice(start, start + 16)}
            if block_key((T, replica), start) in marks(disk):
                np.testing.assert_array_equal(position.isel(at), expected.isel(at))
            else:
                assert np.isnan(position.isel(at)).all()
        assert 0 < len(marks(disk)) < 12
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        done = run_convert(disk, pattern=str(files / PATTERN), by=command)
        assert (done.returncode, done.stderr) == (0, "")
        assert_same(disk / "out.zarr", reference)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_conversion_killed_at_any_moment_leaves_whole_blocks_and_continues(tmp_path, client):
    write_files(tmp_path, make_runs(frames=240))
    reference = tmp_path / "reference.zarr"
    assert causes(tmp_path, client, store=reference) == []
    expected = production(reference)["position"]
    arguments = [sys.executable, "-m", "daskglass", "convert", "--format", "gsd", PATTERN, "out.zarr", "--quiet"]
    arguments += ["--timestep", str(TIMESTEP), "--cluster"]
    rng = np.random.default_rng(3)
    # some at once, some while it lays out the store, and the others after so many blocks
    for blocks in (-1, -1, 0, 0, *np.sort(rng.integers(1, 50, 6))):
        if blocks == 0:
            shutil.rmtree(tmp_path / "out.zarr", ignore_errors=True)
            (tmp_path / "out.zarr.ledger").unlink(missing_ok=True)
        # before the first block there is nothing for workers to do
        process = subprocess.Popen(
            [*arguments, "local" if blocks > 0 else "none"], cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL
        )  # fmt: skip
        while process.poll() is None and (
            len(marks(tmp_path)) < blocks if blocks else not (tmp_path / "out.zarr.ledger").exists()
        ):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 1.5 if blocks < 0 else 0.1))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if not (tmp_path / "out.zarr/ka/production/zarr.json").exists():
            assert not marks(tmp_path)
            continue
        position = production(tmp_path / "out.zarr")["position"]
        for place in PLACES:
            row = {"temperature": place[0], "replica": place[1]}
            for start in range(0, 240, 16):
                ours, theirs = (run.sel(row).isel(time=slice(start, start + 16)).values for run in (position, expected))
                assert ours.tobytes() == theirs.tobytes() or (
                    np.isnan(ours).all() and block_key(place, start) not in marks(tmp_path)
                )
    done = run_convert(tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"(warning: .*died holding the store's lock; taking it over\n)?", done.stderr)
    assert_same(tmp_path / "out.zarr", reference)
    assert len(marks(tmp_path)) == 60
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data", "out.zarr", "out.zarr.ledger", "reference.zarr", "reference.zarr.ledger", "report.json",
    ]  # fmt: skip
