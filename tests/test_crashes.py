"""Nothing that is complete is lost: to copies of tasks that come late and die, to power cuts, to damaged files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import daskglass as dg
from daskglass.ledger import Ledger
from daskglass.stages import BARRIERS
from tests import studies
from tests.power import Machine, disturbed
from tests.test_pipeline import assert_same_store


@pytest.fixture
def finished_tiny(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "tiny")


def test_second_copies_of_every_task_killed_anywhere_leave_a_finished_store_as_it_is(finished_tiny):
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed_copies", "tiny.yaml", "20"],
        cwd=finished_tiny, capture_output=True, text=True, timeout=900,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    *changed, summary = done.stdout.splitlines() or [""]
    assert (changed, done.returncode) == ([], 0), done.stdout + done.stderr
    killed, _, _, kinds, *_ = summary.split()
    assert int(kinds) == 14
    assert int(killed) > 8 * int(kinds)


# --- power cuts ---


GROWN = studies.BRIEF.replace("replicas: 1", "replicas: 2")
NAMES = {"brief": studies.BRIEF, "grown": GROWN}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Make the store of a study that was run without a cut, once."""
    made = {}

    def store_of(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("undisturbed")
            (folder / "study.yaml").write_text(NAMES[name])
            done = studies.command("run", "study.yaml", folder=folder)
            assert done.returncode == 0, done.stderr
            made[name] = folder / "brief.zarr"
        return made[name]

    return store_of


def done_tasks(folder):
    ledger = folder / "brief.zarr.ledger"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


@pytest.mark.parametrize(
    ("seed", "cuts", "names"),
    [(0, 3, ["brief"]), *(pytest.param(seed, 6, ["brief", "grown"], marks=pytest.mark.long) for seed in range(1, 6))],
)
def test_a_study_that_power_cuts_interrupt_ends_as_an_undisturbed_one(undisturbed, tmp_path, seed, cuts, names):
    root = tmp_path / "study"
    root.mkdir()
    for name in names:
        (root / f"{name}.yaml").write_text(NAMES[name])
    machine = Machine(root, seed)
    for name in names:
        assert disturbed(machine, ["run", f"{name}.yaml"], lambda: done_tasks(root), cuts) == ""
        assert_same_store(undisturbed(name), root / "brief.zarr")
    assert machine.cuts >= cuts
    check = studies.command("check", "brief.zarr", folder=root)
    assert check.returncode == 0, check.stderr
    assert not [*root.glob("*.writing.*"), *root.glob("*.lock*")]


# --- files damaged later ---


def chunks(folder, name):
    return sorted(file for file in (folder / "files.zarr/ka_0.0/production" / name / "c").rglob("*") if file.is_file())


def whole(folder):
    return dg.open_store(folder / "files.zarr")["ka_0.0/production"].to_dataset().load()


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_a_chunk_lost_after_it_was_complete_is_done_again_and_reported(finished, monkeypatch, damage):
    before, chunk = whole(finished), chunks(finished, "softness")[0]
    data = chunk.read_bytes()
    chunk.unlink() if damage == "gone" else chunk.write_bytes(b"")
    outcome = studies.run_here(finished, monkeypatch)
    (key, (said,)), *others = outcome.warnings.items()
    assert key == "softness-ka_0.0/production/T1.0/r0/0"
    assert "softness, T = 1, replica 0, frames from 0" in said
    assert said.endswith(": done again")
    assert not others
    assert chunk.read_bytes() == data
    assert whole(finished).equals(before)


def test_check_finds_what_sizes_do_not_tell_and_the_next_run_does_it_again(finished, monkeypatch):
    chunk = chunks(finished, "hop")[0]
    data = chunk.read_bytes()
    chunk.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    checked = studies.command("check", "files.zarr", folder=finished)
    assert checked.returncode == 1
    assert (
        "production/hop, T = 1, replica 0, frames from 0: its bytes are not those that were written" in checked.stderr
    )
    assert "hops-ka_0.0/production/T1.0/r0/0" not in Ledger(finished / "files.zarr").marks
    studies.run_here(finished, monkeypatch)
    assert chunk.read_bytes() == data
    assert studies.command("check", "files.zarr", folder=finished).returncode == 0


def test_what_is_to_be_done_again_is_not_there_meanwhile(finished, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("daskglass.pipeline.work", stop)
    with pytest.raises(KeyboardInterrupt):
        studies.run_here(finished, monkeypatch, studies.FILES.replace("window: 10.0", "window: 8.0"))
    run = whole(finished)
    assert run["position"].notnull().all()
    for name in ("hop", "softness"):
        assert run[name].isnull().all(), name
    assert not (finished / "files.zarr/ka_0.0/model").exists()


def test_what_is_taken_back_of_barriers_is_what_they_add_to_the_ensemble(tiny):
    marks = Ledger(tiny / "tiny.zarr").marks
    barriers, ensemble = (set(marks[f"{stage}-ka_0.0"]["wrote"]["arrays"]) for stage in ("barriers", "ensemble"))
    assert barriers - ensemble == set(BARRIERS)
