"""Nothing that is complete is lost: to copies of tasks that come late and die, to power cuts, to damaged files."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import daskglass as dg
from daskglass.stages.barriers import BARRIERS
from daskglass.store.ledger import Ledger
from tests import studies
from tests.pipeline.test_pipeline import assert_same_store
from tests.power import Machine, disturbed


@pytest.fixture
def finished_tiny(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "tiny")


def test_second_copies_of_every_task_killed_anywhere_leave_a_finished_store_as_it_is(finished_tiny):
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed_copies", "tiny.yaml", "2"],
        cwd=finished_tiny, capture_output=True, text=True, timeout=900,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    *changed, summary = done.stdout.splitlines() or [""]
    assert (changed, done.returncode) == ([], 0), done.stdout + done.stderr
    looked, killed, kinds = map(int, re.findall(r"\d+", summary))
    assert kinds == 17
    assert looked > 8 * kinds
    assert killed == 2 * kinds


# --- kills and power cuts ---


# names and folders that paths, YAML and Zarr treat each in their own way
NAMED = """\
study: brief
store: a store + 50 %2F of größe.zarr
systems:
  - system: a+system+50
    particles: 432
    temperatures: [1.0, 0.8]
    replicas: 1
    mixture:
      species: [A, B]
      fractions: [0.8, 0.2]
      pairs: {AA: {epsilon: 1.0, sigma: 1.0}, AB: {epsilon: 1.5, sigma: 0.8}, BB: {epsilon: 0.5, sigma: 0.88}}
      delta: 0.0
      cutoff: 2.5
      density: 1.2
""" + studies.BRIEF[studies.BRIEF.index("source:") :]
STUDIES = {
    "brief": studies.BRIEF,
    "grown": studies.BRIEF.replace("replicas: 1", "replicas: 2"),
    "named": NAMED,
    "named, grown": NAMED.replace("replicas: 1", "replicas: 2"),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Make the store of a study that was run without a cut, once."""
    made = {}

    def store_of(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("undisturbed")
            (folder / "study.yaml").write_text(STUDIES[name])
            done = studies.command_here("run", "study.yaml", "--cluster", "none", folder=folder)
            assert done.returncode == 0, done.stderr
            (made[name],) = folder.glob("*.zarr")
        return made[name]

    return store_of


# one worker runs the undisturbed study, for both
@pytest.mark.xdist_group("undisturbed")
@pytest.mark.parametrize(
    ("end", "seed", "times", "stride", "names"),
    [
        (Machine.cut_power, 0, 3, 12, ["named"]),
        (Machine.kill, 0, 3, 12, ["named"]),
        *(
            pytest.param(end, seed, 10, 6, names, marks=pytest.mark.long)
            for end in (Machine.cut_power, Machine.kill)
            for seed, names in enumerate([["brief", "grown"], ["named", "named, grown"]] * 3, 1)
        ),
    ],
)
def test_a_study_that_is_killed_or_loses_power_ends_as_an_undisturbed_one(
    undisturbed, tmp_path, end, seed, times, stride, names
):
    root = tmp_path / "a folder + 50 %2F of größe"
    root.mkdir()
    for name in names:
        (root / f"{name}.yaml").write_text(STUDIES[name])
    machine, ended = Machine(root, seed), 0

    def done_tasks():
        return sum(ledger.read_bytes().count(b"\n") for ledger in root.glob("*.ledger"))

    for name in names:
        cluster = "none" if end is Machine.kill else "local"
        ended += disturbed(
            machine, ["run", f"{name}.yaml", "--cluster", cluster], done_tasks, partial(end, machine), times, stride
        )
        (store,) = root.glob("*.zarr")
        assert_same_store(undisturbed(name), store)
    print(f"ended {ended} times")
    assert ended >= times
    check = studies.command_here("check", store.name, folder=root)
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
    checked = studies.command_here("check", "files.zarr", folder=finished)
    assert checked.returncode == 1
    assert "production/hop, T = 1, replica 0, frames from 0: the data differ from what was written" in checked.stderr
    assert "hops-ka_0.0/production/T1.0/r0/0" not in Ledger(finished / "files.zarr").marks
    studies.run_here(finished, monkeypatch)
    assert chunk.read_bytes() == data
    assert studies.command_here("check", "files.zarr", folder=finished).returncode == 0


def test_what_is_to_be_done_again_is_not_there_meanwhile(finished, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("daskglass.pipeline.run.work", stop)
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
