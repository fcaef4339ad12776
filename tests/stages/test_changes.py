"""What is done again when a study changes: the tasks that depend on what changed, and no other."""

import tarfile
from collections import Counter

import pytest

from daskglass.pipeline import run as pipeline
from daskglass.pipeline.plan import plan_study
from daskglass.pipeline.tasks import Task
from daskglass.store.ledger import Ledger
from daskglass.study.load import load_study
from tests.conftest import DATA
from tests.studies import FILES, run_here

ENDS = {"write_ensemble": 1, "write_barriers": 1}
INDICATED = {"indicate": 16}  # local energy and bond order of 8 blocks; boxes are too short for local densities
LATER = {"indicate": 8, **ENDS}  # than the store of an earlier version
MODEL = {"gather_examples": 1, "train": 1, "soften": 8, **ENDS}
ALL_BUT_SOURCE = {"hops": 8, "label": 2, "write_radial": 4, "bulk_dynamics": 4, **INDICATED, **MODEL}


def left(folder, text) -> dict[str, int]:
    """Count the tasks left that write, by function, were the study run now."""
    (folder / "study.yaml").write_text(text)
    study = load_study(folder / "study.yaml")
    ledger = Ledger(folder / study.store)
    plans = plan_study(study, ledger)
    return Counter(
        task.function.__name__
        for task in pipeline.pending(pipeline.study_tasks(study), ledger, plans)
        if task.inputs is not None
    )


@pytest.fixture
def finished(finished_once, tiny, monkeypatch):
    """Folder of a finished study of files: 2 temperatures, 2 replicas, 2 blocks of each; trained at one of them."""
    monkeypatch.setenv("TINY", str(tiny / "tiny.trajectories"))
    monkeypatch.chdir(finished_once)
    return finished_once


@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize(
    ("old", "new", "tasks"),
    [
        ("study: files", "study: files", {}),
        ("strata: {bins: 3}", "strata: {bins: 4}", ENDS),
        ("strata: {bins: 3}", "strata: {bins: 3, percentiles: [10, 90]}", ENDS),
        ("samples_per_class: 500", "samples_per_class: 500, C: 2.0", {"train": 1, "soften": 8, **ENDS}),
        ("samples_per_class: 500", "samples_per_class: 50", MODEL),
        ("hard: 0.08", "hard: 0.07", {"label": 2, **MODEL}),
        ("soft: 0.1", "soft: 0.11", {"label": 2, **MODEL}),
        ("window: 10.0", "window: 8.0", {"hops": 8, "label": 2, **MODEL}),
        ("window: 10.0", "window: 10.0, lead: 1.0", MODEL),
        ("inherent: none", "inherent: none\ndynamics: {q: 7.2}", {"bulk_dynamics": 4, **ENDS}),
        ("inherent: none", "inherent: none\nstructure: {width: 0.09}", MODEL),
        ("bin_width: 0.05", "bin_width: 0.05, core: omit", ENDS),
        ("r_max: 3.5", "r_max: 3.4", {"write_radial": 4, **ENDS}),
        ("softness_bins: 4", "softness_bins: 5", {"write_barriers": 1}),
        ("resamples: 20", "resamples: 21", {"write_barriers": 1}),
        ("inherent: none", "inherent: none\nprecision: 1.0e-3", {"convert": 8, **ALL_BUT_SOURCE}),
        (
            "inherent: none",
            "inherent: {engine: lammps}",
            {"minimize": 8, **ALL_BUT_SOURCE, "write_radial": 8, "bulk_dynamics": 0},
        ),
    ],
)
def test_a_change_redoes_the_tasks_that_depend_on_it_and_no_other(finished, old, new, tasks):
    changed = FILES.replace(old, new)

    assert old in FILES
    assert left(finished, changed) == Counter(tasks)


# --- a store of daskglass 0.1.0, which noted sections of the study file as a whole ---


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """Folder of a finished simulated study as daskglass 0.1.0 left it: 2 temperatures, a training run, no figures."""
    with tarfile.open(DATA / "earlier.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text_of(folder):
    return (folder / "study.yaml").read_text()


def test_an_earlier_store_lacks_what_came_after_it_alone(earlier):
    assert left(earlier, text_of(earlier)) == Counter(LATER)


@pytest.mark.parametrize(
    ("old", "new", "tasks"),
    [
        ("strata: {bins: 3}", "strata: {bins: 4}", LATER),
        ("samples_per_class: 200", "samples_per_class: 200, C: 2.0", {"train": 1, "soften": 6, **LATER}),
        ("bin_width: 0.05", "bin_width: 0.05, core: omit", LATER),
        ("window: 4.0", "window: 4.0, lead: 1.0", {"gather_examples": 1, "train": 1, "soften": 6, **LATER}),
    ],
)
def test_an_earlier_store_is_continued_without_what_did_not_change(earlier, old, new, tasks):
    text = text_of(earlier)

    assert old in text
    assert left(earlier, text.replace(old, new)) == Counter(tasks)


def test_an_earlier_store_that_changed_ends_complete(earlier, monkeypatch):
    changed = text_of(earlier).replace("strata: {bins: 3}", "strata: {bins: 4}")

    assert run_here(earlier, monkeypatch, changed).done == sum(LATER.values())
    assert left(earlier, changed) == {}


# --- what a task waits for ---


def test_a_task_is_done_again_when_one_it_waits_for_was_completed_after_it(tmp_path):
    first, second = (
        Task("hops", "ka", f"hops-ka/{name}", print, (), after=after, inputs={})
        for name, after in (("first", ()), ("second", ("hops-ka/first",)))
    )
    ledger = Ledger(tmp_path / "x.zarr")
    for task in (first, second):
        ledger.complete(task.key, {}, {})
    assert pipeline.pending([first, second], ledger) == []

    ledger.complete(first.key, {}, {})

    assert pipeline.pending([first, second], Ledger(tmp_path / "x.zarr")) == [second]
