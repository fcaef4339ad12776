"""A store that grows: places and frames join, nothing is written again, nothing is lost."""

import json
import os
import shutil

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from daskglass.pipeline import run as pipeline
from daskglass.pipeline.status import status
from daskglass.store.ledger import Ledger
from daskglass.study.load import load_study, study_of_files
from tests.pipeline.conversion.files import (
    BAD,
    PLACES,
    TIMESTEP,
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
    written,
)
from tests.studies import FILES, command_here, on, run_here
from tests.trajectories.files import (
    write_gsd,
)


def chunks(folder, place, system="ka"):
    """Inode and time of change of every chunk of the positions of a place."""
    run = production(folder / "out.zarr", system)
    T, replica = (
        list(run[name].values).index(value) for name, value in zip(("temperature", "replica"), place, strict=True)
    )
    row = folder / f"out.zarr/{system}/production/position/c/{T}/{replica}"
    return {f.parents[1].name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in row.rglob("*") if f.is_file()}


def test_temperatures_replicas_and_systems_join_and_nothing_is_written_again(tmp_path, client):
    every = [(T, replica) for T in (0.6, 0.55, 0.5) for replica in (0, 1, 2)]
    runs = {place: walk(k) for k, place in enumerate(every)}
    known: dict[str, dict] = {}
    placed: dict[tuple, dict] = {}
    for grown in (
        [(0.6, 0)],
        [(0.6, 0), (0.5, 0)],
        [(0.6, 0), (0.55, 0), (0.5, 0)],
        [place for place in every if place[1] != 1],
        every,
    ):
        write_files(tmp_path, {place: runs[place] for place in grown if not file_of(tmp_path, place).exists()})
        assert convert(tmp_path, client).done == 3 * (len(grown) - len(placed))
        assert {key: marks(tmp_path)[key] for key in known} == known
        assert {place: chunks(tmp_path, place) for place in placed} == placed
        known, placed = marks(tmp_path), {place: chunks(tmp_path, place) for place in grown}
    write_files(tmp_path, {(0.7, 0): runs[0.6, 0]}, system="other")
    assert convert(tmp_path, client).done == 3
    assert {place: chunks(tmp_path, place) for place in placed} == placed
    assert {key: marks(tmp_path)[key] for key in known} == known
    shutil.move(tmp_path / "out.zarr", tmp_path / "grown.zarr")
    (tmp_path / "out.zarr.ledger").unlink()
    assert causes(tmp_path, client) == []
    assert_same(tmp_path / "grown.zarr", tmp_path / "out.zarr")


@pytest.mark.parametrize("images", [True, False])
def test_longer_files_are_converted_from_their_last_partial_block_on(tmp_path, client, images):
    runs = make_runs(frames=60)
    write_files(tmp_path, {place: first(run, 40) for place, run in runs.items()}, images=images)
    assert causes(tmp_path, client) == []
    known, placed = marks(tmp_path), {place: chunks(tmp_path, place) for place in PLACES}
    before = production(tmp_path / "out.zarr")["position"]
    write_files(tmp_path, runs, images=images)
    assert convert(tmp_path, client).done == 8
    for place in PLACES:
        for start in (0, 16):
            assert marks(tmp_path)[block_key(place, start)] == known[block_key(place, start)]
        now = chunks(tmp_path, place)
        assert all(now[name] == placed[place][name] for name in ("0", "1"))
    after = production(tmp_path / "out.zarr")["position"]
    assert after.sizes["time"] == 60
    assert after.isel(time=slice(40)).values.tobytes() == before.values.tobytes()
    assert causes(tmp_path, client, store=tmp_path / "fresh.zarr") == []
    assert_same(tmp_path / "out.zarr", tmp_path / "fresh.zarr")


@pytest.mark.parametrize("how", ["other data", "touched"])
def test_a_file_that_was_written_again_is_converted_again_alone(folder, client, how):
    assert causes(folder, client) == []
    known, path = marks(folder), file_of(folder, BAD)
    if how == "touched":
        path.touch()
    else:
        write_gsd(path, walk(9), log=True)
    assert convert(folder, client).done == 3
    changed = {key for key, mark in marks(folder).items() if mark != known[key]}
    assert changed == {block_key(BAD, start) for start in (0, 16, 32)}
    if how == "other data":
        made = walk(9)
        row = production(folder / "out.zarr")["position"].sel(temperature=BAD[0], replica=BAD[1])
        np.testing.assert_array_equal(row, (made.position + made.image * made.box).astype(np.float32))


def test_a_folder_of_files_that_was_moved_is_not_converted_again(folder, client):
    assert causes(folder, client) == []
    known = marks(folder)
    shutil.copytree(folder / "data", folder / "moved/data")
    shutil.rmtree(folder / "data")
    assert convert(folder / "moved", client, store=folder / "out.zarr").done == 0
    assert marks(folder) == known
    sources = json.loads(production(folder / "out.zarr").attrs["sources"])
    assert [source["path"] for source in sources] == [str(file_of(folder / "moved", place)) for place in PLACES]


@pytest.mark.parametrize("gone", ["data/ka/T0.6", "data/ka/*/r1"])
def test_what_has_no_files_any_more_stays_as_it_is(folder, client, gone):
    assert causes(folder, client) == []
    known, before = marks(folder), written(folder / "out.zarr")
    for path in folder.glob(gone):
        shutil.rmtree(path)
    assert convert(folder, client).done == 0
    assert (marks(folder), written(folder / "out.zarr")) == (known, before)


def test_files_join_a_store_without_those_that_are_there(tmp_path, client):
    runs = make_runs()
    for place in PLACES:
        write_files(tmp_path / f"{place}", {place: runs[place]})
        write_files(tmp_path / "all", {place: runs[place]})
    parts = [[PLACES[0]], [PLACES[1]], PLACES[2:]]
    for places in parts:
        write_files(tmp_path / str(places), {place: runs[place] for place in places})
        assert causes(tmp_path / str(places), client, store=tmp_path / "out.zarr") == []
    assert causes(tmp_path / "all", client) == []
    assert_same(tmp_path / "out.zarr", tmp_path / "all/out.zarr")
    sources = json.loads(production(tmp_path / "out.zarr").attrs["sources"])
    assert [(source["temperature"], source["replica"]) for source in sources] == PLACES


@pytest.mark.parametrize(
    ("place", "given", "message"),
    [((0.4, 0), {}, "no file of the production run at T = 0.4, replica 1"), ((0.5, 2), {}, "replica 2"),
     ((0.5, 0), {"frames": 30}, "30 frames join a run of 40")],
)  # fmt: skip
def test_files_that_leave_a_hole_are_refused(folder, client, place, given, message):
    assert causes(folder, client) == []
    known, before = marks(folder), written(folder / "out.zarr")
    write_files(folder / "more", {place: walk(7)})
    told = causes(folder / "more", client, store=folder / "out.zarr", **given)
    assert len(told) == 1
    assert message in told[0]
    assert (marks(folder), written(folder / "out.zarr")) == (known, before)


def test_every_training_run_that_has_files_is_converted(tmp_path, client):
    pattern = str(tmp_path / "data/{system}/T{temperature:g}/r{replica:d}/{run}.gsd")
    for T in (0.6, 0.5, 0.4):
        for run, replicas in (("production", (0, 1)), ("training", (1,))):
            for replica in replicas:
                path = tmp_path / f"data/ka/T{T}/r{replica}/{run}.gsd"
                path.parent.mkdir(parents=True, exist_ok=True)
                if T < 0.6 or run == "production":
                    write_gsd(path, walk(3, frames=20 if run == "production" else 35))
    assert causes(tmp_path, client, path=pattern) == []
    training = dg.open_store(tmp_path / "out.zarr")["ka/training"].to_dataset()
    assert training.sizes["time"] == 35
    assert (training["temperature"].values.tolist(), training["replica"].values.tolist()) == ([0.5, 0.4], [1])
    assert training["position"].notnull().all()


def test_a_training_run_can_be_converted_alone(tmp_path, client):
    path = tmp_path / "data/ka/T0.5/r0/training.gsd"
    path.parent.mkdir(parents=True)
    write_gsd(path, walk(3))
    pattern = str(tmp_path / "data/{system}/T{temperature:g}/r{replica:d}/{run}.gsd")
    assert causes(tmp_path, client, path=pattern) == []
    assert dg.open_store(tmp_path / "out.zarr")["ka/training/position"].notnull().all()


def test_a_store_whose_name_is_a_pattern_of_the_shell_is_mended(folder, client):
    path = folder / "out[1].zarr"
    assert causes(folder, client, store=path) == []
    (path / "ka/production").rename(folder / "out[1].zarr.ka%2Fproduction.old")
    assert convert(folder, client, store=path).done == 0
    assert production(path)["position"].notnull().all()


STUDY = FILES.replace("temperatures: [1.0, 0.8], replicas: 2", "temperatures: {temperatures}, replicas: {replicas}")


def study_text(temperatures, replicas):
    return STUDY.replace("{temperatures}", str(temperatures)).replace("{replicas}", str(replicas))


@pytest.mark.xdist_group("tiny")
def test_converting_into_the_store_of_a_study_keeps_its_tables_and_makes_them_stale_if_need_be(finished, client):
    before = dg.open_store(finished / "files.zarr")["ka_0.0/production"].to_dataset().load()
    pattern = f"{os.environ['TINY']}/{{system}}/r{{replica}}/T{{temperature:g}}/production.gsd"
    study = study_of_files(finished / "files.zarr", format="gsd", path=pattern, timestep=TIMESTEP)
    assert pipeline.convert(pipeline.plan_files(study, on(client)), on(client)).done == 0
    warm = finished / "more/ka_0.0"
    for replica in (0, 1):
        shutil.copytree(f"{os.environ['TINY']}/ka_0.0/r{replica}/T1", warm / f"r{replica}/T0.9")
    more = study_of_files(
        finished / "files.zarr", format="gsd", path=f"{finished}/more/{{system}}/r{{replica}}/T{{temperature:g}}/production.gsd",
        timestep=TIMESTEP,
    )  # fmt: skip
    assert pipeline.convert(pipeline.plan_files(more, on(client)), on(client)).done == 4
    after = dg.open_store(finished / "files.zarr")["ka_0.0/production"].to_dataset().load()
    xr.testing.assert_equal(after.sel(temperature=[1.0, 0.8]), before)
    assert json.loads(after.attrs["study"])["study"] == "files"


@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize(
    ("temperatures", "replicas", "trains"),
    [([0.8], 2, False), ([1.0, 0.8], 1, True)],
    ids=["a temperature joins", "a replica joins"],
)
def test_a_study_that_grows_keeps_the_hops_it_has_and_says_why_the_rest_is_stale(
    files, monkeypatch, temperatures, replicas, trains
):
    run_here(files, monkeypatch, study_text(temperatures, replicas))
    before = {
        key: mark for key, mark in Ledger(files / "files.zarr").marks.items() if key.startswith(("convert", "hops"))
    }
    assert before
    (files / "study.yaml").write_text(FILES)
    states = {state.stage: state for state in status(load_study(files / "study.yaml"))}
    for stage in ("convert", "hops"):
        assert states[stage].done == sum(key.startswith(stage) for key in before)
        assert (states[stage].stale, states[stage].missing > 0) == (0, True)
    # another replica is another part of the examples that the model is trained on; another temperature is not
    assert (states["softness"].stale > 0) == trains
    shown = command_here("status", "study.yaml", folder=files).stdout.splitlines()
    stale = [line for line in shown if line.startswith("stale: ka_0.0 ")]
    assert any(line.startswith("stale: ka_0.0 ensemble: ") and "before it is to be done" in line for line in stale), (
        shown
    )
    assert any(line.startswith("stale: ka_0.0 barriers: ") for line in stale), shown
    assert not run_here(files, monkeypatch).failures
    after = Ledger(files / "files.zarr").marks
    assert {key: after[key] for key in before} == before
