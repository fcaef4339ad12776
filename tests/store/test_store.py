"""The store: blocks tile it, what is written is what is read, and plain Zarr and xarray suffice to read it."""

import contextlib
import errno
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import daskglass as dg
from daskglass.errors import StoreError
from daskglass.store import blocks as store
from daskglass.store import metadata, wholeness
from daskglass.store.aside import fence, folder_aside, writing
from daskglass.store.blocks import Block
from daskglass.store.template import Layout, frames_per_block, frames_per_chunk, lay_out
from daskglass.store.wholeness import Region
from daskglass.variables import FRAMES, VARIABLES

TEMPERATURES = [0.9, 0.7, 0.5]


def make_layout(
    frames=21, particles=10, chunk=8, block=8, system="ka_0.0", temperatures=TEMPERATURES, replicas=(0, 1), interval=1.0
) -> Layout:
    coordinates = {
        "temperature": xr.DataArray(temperatures, dims="temperature"),
        "replica": xr.DataArray(list(replicas), dims="replica"),
        "time": xr.DataArray(np.arange(frames) * interval, dims="time"),
        "species": xr.DataArray(np.zeros(particles, np.int8), dims="particle", attrs={"names": ["A", "B"]}),
        "neighbor": xr.DataArray(["A", "B"], dims="neighbor"),
        "box": xr.DataArray([9.0, 9.0, 9.0], dims="xyz"),
    }
    variables = [VARIABLES[name] for name in ("position", "hop", "label", "potential_energy")]
    sizes = {
        "temperature": len(temperatures),
        "replica": len(replicas),
        "time": frames,
        "particle": particles,
        "xyz": 3,
    }
    return Layout(system, "production", coordinates, variables, sizes, chunk, block)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "study.zarr"
    lay_out(path, make_layout(), {"delta": 0.0})
    return path


@given(frames=st.integers(1, 300), chunk=st.integers(1, 20), shards=st.integers(1, 5), temperatures=st.integers(1, 4))
def test_blocks_tile_every_run_exactly_once(frames, chunk, shards, temperatures):
    T = [1.0 - 0.1 * k for k in range(temperatures)]
    layout = make_layout(frames=frames, chunk=chunk, block=chunk * shards, temperatures=T)
    covered = np.zeros((temperatures, 2, frames), int)
    for block in layout.blocks():
        covered[T.index(block.temperature), block.replica, block.start : block.stop] += 1
        assert block.start % (chunk * shards) == 0
    assert (covered == 1).all()
    assert len({block.key for block in layout.blocks()}) == len(layout.blocks())


@given(particles=st.integers(1, 10**8), blocks=st.integers(1, 10**7))
def test_chunks_hold_at_most_sixteen_frames_and_shards_whole_chunks(particles, blocks):
    chunk, block = frames_per_chunk(particles), frames_per_block(particles, blocks)
    assert 1 <= chunk <= 16
    assert chunk == 1 or chunk * particles * 12 <= 6_300_000
    assert block % chunk == 0
    assert block == chunk or block * particles * 12 <= 64_000_000


@pytest.mark.parametrize("block", [8, 16])
def test_what_is_written_is_what_is_read_through_every_codec(tmp_path, block):
    path, layout = tmp_path / "study.zarr", make_layout(block=block)
    lay_out(path, layout, {})
    rng = np.random.default_rng(0)
    whole = rng.normal(scale=30, size=(3, 2, 21, 10, 3)).astype(np.float32)
    for each in layout.blocks():
        part = whole[TEMPERATURES.index(each.temperature), each.replica, each.start : each.stop]
        store.write_block(path, each, {"position": part, "hop": part[..., 0]})
    run = dg.open_store(path)["ka_0.0/production"].dataset
    np.testing.assert_array_equal(run["position"], whole)
    np.testing.assert_array_equal(run["hop"], whole[..., 0])


def test_what_was_not_written_reads_as_missing(path):
    run = dg.open_store(path)["ka_0.0/production"].dataset
    assert np.isnan(run["position"]).all()
    assert (run["label"] == -1).all()


def test_a_block_can_be_erased(path):
    block = make_layout().blocks()[1]
    store.write_block(path, block, {"hop": np.ones((8, 10), np.float32)})
    wholeness.erase(path, [Region(block.group, ("hop",), block)])
    assert np.isnan(dg.open_store(path)["ka_0.0/production/hop"]).all()


def test_erasing_a_block_leaves_its_neighbours_and_other_variables(path):
    layout = make_layout()
    fill(path, layout)
    before = dg.open_store(path)["ka_0.0/production"].to_dataset().load()
    block = layout.blocks()[1]
    wholeness.erase(path, [Region(block.group, ("hop",), block)])
    after = dg.open_store(path)["ka_0.0/production"].to_dataset().load()
    here = before["hop"].copy()
    here.loc[{"temperature": block.temperature, "replica": block.replica}][block.start : block.stop] = np.nan
    xr.testing.assert_identical(after, before.assign(hop=here))


def test_a_chunk_of_nan_differs_from_a_missing_one(path):
    block = make_layout().blocks()[1]
    store.write_block(path, block, {"hop": np.full((8, 10), np.nan, np.float32)})
    assert len(list((path / block.group / "hop" / "c").rglob("*"))) > 0
    assert len(wholeness.Files(path).found(block.group, "hop", block)) == wholeness.Files(path).number(
        block.group, "hop", block
    )


def written(path, block, **values):
    """What the ledger keeps of a task that writes these."""
    with folder_aside(path) as aside, writing(aside) as now:
        store.write_block(path, block, values)
    return now.receipt()["wrote"]


def of_block(path):
    block = make_layout().blocks()[1]
    return block, written(path, block, hop=np.ones((8, 10), np.float32), potential_energy=np.zeros(8))


def chunk_of(path, block, name):
    return path / block.group / name / next(iter(wholeness.Files(path).found(block.group, name, block)))


@pytest.mark.parametrize("damage", ["gone", "empty", "shorter", "longer"])
def test_a_chunk_that_is_not_as_it_was_written_is_found_by_its_size(path, damage):
    block, wrote = of_block(path)
    assert wholeness.wrong_files(path, wrote) == wholeness.wrong_files(path, wrote, read=True) == ""
    chunk = chunk_of(path, block, "hop")
    data = chunk.read_bytes()
    if damage == "gone":
        chunk.unlink()
    else:
        chunk.write_bytes({"empty": b"", "shorter": data[:-1], "longer": data + b"\0"}[damage])
    wrong = wholeness.wrong_files(path, wrote)
    assert "ka_0.0/production/hop, T = 0.9, replica 0, frames from 8: " in wrong
    assert ("1 files are missing" if damage == "gone" else f"bytes; {len(data)} were written") in wrong


def test_a_flipped_bit_is_found_by_its_checksum_alone(path):
    block, wrote = of_block(path)
    chunk = chunk_of(path, block, "hop")
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1
    chunk.write_bytes(data)
    assert wholeness.wrong_files(path, wrote) == ""
    assert wholeness.wrong_files(path, wrote, read=True).endswith("the data differ from what was written")


@pytest.mark.parametrize("name", ["zarr.json", "a/zarr.json", "a/c/0"])
def test_a_table_that_is_not_as_it_was_written_is_found(path, name):
    with folder_aside(path) as aside, writing(aside) as now:
        store.write_table(path, "ka_0.0/model", xr.Dataset({"a": ("x", [1.0, 2.0])}))
    wrote = now.receipt()["wrote"]
    assert wholeness.wrong_files(path, wrote, read=True) == ""
    (path / "ka_0.0/model" / name).write_bytes(b"")
    assert wholeness.wrong_files(path, wrote).startswith(f"{path}/ka_0.0/model")


def test_a_task_of_a_run_that_was_taken_over_changes_nothing(path):
    block, row = make_layout().blocks()[1], make_layout().blocks()[0]
    with folder_aside(path) as first:
        store.write_block(path, block, {"hop": np.ones((8, 10), np.float32)})
        with (
            folder_aside(path),
            writing(first),
            pytest.raises(StoreError, match="another run took over this store"),
        ):
            store.write_block(path, block, {"hop": np.zeros((8, 10), np.float32)})
        with writing(first), pytest.raises(StoreError, match="another run"):
            store.write_table(path, "ka_0.0/model", xr.Dataset({"a": ("x", [1.0, 2.0])}))
        assert not (path / "ka_0.0/model").exists()
        first.mkdir()
    assert (dg.open_store(path)["ka_0.0/production/hop"].sel(temperature=0.9, replica=0)[8:16] == 1).all()
    assert row.start == 0


def test_a_folder_that_is_gone_is_not_taken_for_another_run(path):
    with folder_aside(path) as aside, pytest.raises(FileNotFoundError, match="gone"), fence(path, aside):
        (path / "gone").read_bytes()


def test_a_damaged_chunk_is_named_when_it_is_read(path):
    block, _ = of_block(path)
    chunk_of(path, block, "hop").write_bytes(b"")
    with pytest.raises(StoreError, match=r"T0\.9/r0/8: hop cannot be read.*daskglass check"):
        store.read_block(path, block, ["hop"])


@pytest.mark.parametrize(("start", "stop"), [(1, 9), (0, 4), (8, 20)])
def test_a_block_that_shares_a_chunk_with_another_is_never_written(path, start, stop):
    block = Block("ka_0.0", "production", 0.9, 0, start, stop)
    with pytest.raises(StoreError, match="does not cover whole chunks"):
        store.write_block(path, block, {"hop": np.ones((stop - start, 10), np.float32)})


def test_a_halo_ends_at_the_ends_of_the_run(path):
    first, second, last = make_layout().blocks()[:3]
    times = [store.read_block(path, block, ["hop"], halo=3)["time"].values for block in (first, second, last)]
    assert [(t[0], t[-1]) for t in times] == [(0, 10), (5, 18), (13, 20)]


@pytest.mark.parametrize(("halo", "every"), [(0, 1), (3, 1), (0, 3)])
def test_a_block_is_what_xarray_reads(path, halo, every):
    block = make_layout().blocks()[1]
    rng = np.random.default_rng(0)
    store.write_block(path, block, {"hop": rng.random((8, 10), np.float32)})
    read = store.read_block(path, block, ["hop", "position", "label"], halo, every)
    whole = store.open_group(path, block.group)
    frames = slice(block.start - halo, block.stop + halo, every)
    row = whole.sel(temperature=block.temperature, replica=block.replica).isel(time=frames)
    xr.testing.assert_equal(read, row[["hop", "position", "label"]].assign_coords(box=row["box"]))
    assert read["species"].attrs == whole["species"].attrs


def test_a_layout_interrupted_half_way_is_made_whole(tmp_path, monkeypatch):
    path, layout = tmp_path / "study.zarr", make_layout()

    def crash(self, target, **options):
        (target.root / "position").mkdir(parents=True)
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(xr.Dataset, "to_zarr", crash)
        with pytest.raises(OSError, match="disk full"):
            lay_out(path, layout, {})
    assert not (path / "ka_0.0/production").exists()
    lay_out(path, layout, {})
    assert {"time", "species", "neighbor"} <= set(dg.open_store(path)["ka_0.0/production"].coords)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["study.zarr"]


def test_the_attributes_describe_the_system(path):
    assert dg.open_store(path)["ka_0.0"].attrs["delta"] == 0.0


def test_laying_out_again_keeps_the_data(path):
    block = make_layout().blocks()[0]
    store.write_block(path, block, {"hop": np.ones((8, 10), np.float32)})
    lay_out(path, make_layout(), {})
    assert (store.read_block(path, block, ["hop"])["hop"] == 1).all()


# --- growing -------------------------------------------------------------------------------------------------------


def fill(path, layout):
    """Write numbers that tell where they belong."""
    for block in layout.blocks():
        frames = np.arange(block.start, block.stop)[:, None]
        hop = np.float32(1000 * block.temperature + 100 * block.replica) + np.broadcast_to(frames, (frames.size, 10))
        store.write_block(path, block, {"hop": hop.astype(np.float32), "potential_energy": hop[:, 0]})


def files_of(path, name="hop"):
    """Identity and contents of every chunk of a variable."""
    chunks = path / "ka_0.0/production" / name / "c"
    files = [file for file in chunks.rglob("*") if file.is_file()]
    return sorted((file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) for file in files)


@pytest.mark.parametrize(
    "change",
    [
        {"temperatures": [1.1, 0.9, 0.8, 0.7, 0.5]},
        {"temperatures": [0.9, 0.7, 0.5, 0.4], "replicas": (0, 1, 7)},
        {"replicas": (-1, 0, 1)},
        {"frames": 40},
        {"frames": 24, "temperatures": [0.95, 0.9, 0.7, 0.5], "replicas": (0, 1, 2)},
    ],
)
@pytest.mark.parametrize("block", [8, 16])
def test_a_store_grows_without_rewriting_what_is_there(tmp_path, change, block):
    path, before = tmp_path / "study.zarr", make_layout(block=block)
    lay_out(path, before, {})
    fill(path, before)
    old, kept = dg.open_store(path)["ka_0.0/production"].to_dataset().load(), files_of(path)
    lay_out(path, make_layout(block=block, **change), {})
    assert files_of(path) == kept
    new = dg.open_store(path)["ka_0.0/production"].to_dataset().load()
    there = new.sel(temperature=old["temperature"], replica=old["replica"], time=old["time"])
    xr.testing.assert_equal(there["hop"], old["hop"])
    xr.testing.assert_equal(there["potential_energy"], old["potential_energy"])
    assert int(new["hop"].notnull().sum()) == int(old["hop"].notnull().sum())
    assert [file.name for file in tmp_path.iterdir()] == ["study.zarr"]


@pytest.mark.parametrize("lags", [[1.0, 4.0], [2.0, 8.0]])
def test_a_run_over_other_lags_keeps_no_table_of_the_old_ones(tmp_path, lags):
    path, layout = tmp_path / "study.zarr", make_layout()

    def over(lag):
        return replace(
            layout,
            coordinates={**layout.coordinates, "lag": xr.DataArray(lag, dims="lag")},
            variables=[*layout.variables, VARIABLES["msd"]],
            sizes={**layout.sizes, "lag": len(lag)},
        )

    lay_out(path, over([1.0, 4.0]), {"study": "text", "delta": 0.0})
    fill(path, layout)
    zarr.open_array(path / "ka_0.0/production/msd", mode="r+")[:] = 1.0
    lay_out(path, over(lags), {})
    run = dg.open_store(path)["ka_0.0/production"].to_dataset().load()
    assert run["hop"].notnull().any()
    assert run["msd"].isnull().all() == (lags != [1.0, 4.0])
    assert run["lag"].values.tolist() == lags
    # what files that join do not say stays as the study said it
    assert dg.open_store(path)["ka_0.0"].attrs["study"] == "text"


def test_a_store_that_grew_accepts_what_joined_it(tmp_path):
    path = tmp_path / "study.zarr"
    lay_out(path, make_layout(), {})
    fill(path, make_layout())
    whole = make_layout(temperatures=[0.9, 0.8, 0.7, 0.5], frames=30)
    lay_out(path, whole, {})
    fill(path, whole)
    run = dg.open_store(path)["ka_0.0/production"].dataset
    expected = 1000 * run["temperature"] + 100 * run["replica"] + run["time"]
    np.testing.assert_allclose(run["hop"].isel(particle=3), expected, rtol=1e-6)


def test_times_of_their_own_grow_with_their_rows(tmp_path):
    path, several = tmp_path / "study.zarr", replace(VARIABLES["time"], dims=FRAMES)

    def uneven(temperatures):
        layout = make_layout(temperatures=temperatures)
        coordinates = {name: values for name, values in layout.coordinates.items() if name != "time"}
        return replace(layout, coordinates=coordinates, variables=[*layout.variables, several])

    lay_out(path, uneven([0.9, 0.5]), {})
    for block in uneven([0.9, 0.5]).blocks():
        store.write_block(path, block, {"time": block.temperature * np.arange(block.start, block.stop)})
    lay_out(path, uneven([0.9, 0.7, 0.5]), {})
    time = dg.open_store(path)["ka_0.0/production"].dataset["time"]
    np.testing.assert_allclose(time.sel(temperature=0.5, replica=1), 0.5 * np.arange(21))
    assert np.isnan(time.sel(temperature=0.7)).all()


def test_a_box_that_was_the_same_everywhere_is_kept_when_it_varies(tmp_path):
    path = tmp_path / "study.zarr"
    lay_out(path, make_layout(), {})
    grown = make_layout(temperatures=[1.0, 0.9, 0.7, 0.5])
    box = replace(VARIABLES["box"], dims=(*FRAMES, "xyz"))
    coordinates = {name: values for name, values in grown.coordinates.items() if name != "box"}
    lay_out(path, replace(grown, coordinates=coordinates, variables=[*grown.variables, box]), {})
    found = dg.open_store(path)["ka_0.0/production"].dataset["box"]
    assert np.isnan(found.sel(temperature=1.0)).all()
    assert (found.sel(temperature=[0.9, 0.7, 0.5]) == 9.0).all()


def test_growing_that_stops_half_way_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "study.zarr"
    lay_out(path, make_layout(), {})
    fill(path, make_layout())
    before = dg.open_store(path)["ka_0.0/production"].to_dataset().load()

    link = os.link

    def crash(old, new):
        if "/c/" in str(new):
            raise OSError(errno.ENOSPC, "No space left on device")
        link(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", crash)
        with pytest.raises(OSError, match="No space"):
            lay_out(path, make_layout(frames=40), {})
    store.recover(path)
    xr.testing.assert_identical(dg.open_store(path)["ka_0.0/production"].to_dataset().load(), before)
    assert [file.name for file in tmp_path.iterdir()] == ["study.zarr"]


@pytest.mark.parametrize("place", range(4))
def test_growing_that_stops_at_a_rename_loses_nothing(tmp_path, monkeypatch, place):
    path = tmp_path / "study.zarr"
    lay_out(path, make_layout(), {})
    fill(path, make_layout())
    before = dg.open_store(path)["ka_0.0/production"].to_dataset().load()
    replace, calls = os.replace, itertools.count()

    def stop(old, new):
        if not str(old).endswith(".partial") and next(calls) == place:
            raise OSError(errno.EIO, "stopped here")
        replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        with pytest.raises(OSError, match="stopped here") if place < 3 else contextlib.nullcontext():
            lay_out(path, make_layout(frames=40), {"delta": 0.1})
    store.recover(path)
    lay_out(path, make_layout(frames=40), {"delta": 0.1})
    after = dg.open_store(path)["ka_0.0/production"].to_dataset().load()
    xr.testing.assert_equal(after.isel(time=slice(21))["hop"], before["hop"])
    assert [file.name for file in tmp_path.iterdir()] == ["study.zarr"]


def test_a_block_written_again_leaves_the_file_it_was_linked_from(path):
    block = make_layout().blocks()[1]
    store.write_block(path, block, {"hop": np.ones((8, 10), np.float32)})
    chunk = chunk_of(path, block, "hop")
    second_name = path.parent / "second name"
    os.link(chunk, second_name)
    before = second_name.read_bytes()
    store.write_block(path, block, {"hop": np.zeros((8, 10), np.float32)})
    assert second_name.read_bytes() == before != chunk.read_bytes()


def test_chunks_of_other_codecs_are_not_taken_for_those_of_this_version(path):
    fill(path, make_layout())
    description = path / "ka_0.0/production/hop/zarr.json"
    metadata = json.loads(description.read_text())
    metadata["codecs"][-1]["configuration"]["shuffle"] = "noshuffle"
    description.write_text(json.dumps(metadata))
    before = dg.open_store(path)["ka_0.0/production/hop"].load()
    with pytest.raises(StoreError, match=r"hop: was written with other chunks or codecs"):
        lay_out(path, make_layout(temperatures=[1.0, *TEMPERATURES]), {})
    xr.testing.assert_identical(dg.open_store(path)["ka_0.0/production/hop"].load(), before)


def test_a_store_is_written_and_grows_where_files_have_one_name(tmp_path, monkeypatch):
    def link(old, new):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "study.zarr"
    lay_out(path, make_layout(), {})
    fill(path, make_layout())
    store.write_table(path, "ka_0.0/model", xr.Dataset({"a": ("x", [1.0, 2.0])}))
    store.add_to_table(path, "ka_0.0/model", xr.Dataset({"b": ("x", [1.0, 2.0])}))
    before = dg.open_store(path)["ka_0.0/production/hop"].load()
    lay_out(path, make_layout(temperatures=[1.0, *TEMPERATURES]), {})
    metadata.consolidate(path)
    np.testing.assert_array_equal(dg.open_store(path)["ka_0.0/production/hop"][1:], before)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"temperatures": [0.9, 0.7, 0.6]}, r"has temperature \[0.5\], which the study does not list"),
     ({"replicas": (0,)}, r"has replica \[1\]"), ({"frames": 20}, "has 21 frames"), ({"interval": 2.0}, "do not continue them"),
     ({"particles": 11}, "differ in species")],
)  # fmt: skip
def test_a_store_that_holds_more_or_other_than_the_study_is_refused(path, change, message):
    with pytest.raises(StoreError, match=message):
        lay_out(path, make_layout(**change), {})


@given(values=st.lists(st.floats(-1000, 1000, width=32), min_size=1), precision=st.floats(1e-4, 0.1))
def test_reduced_precision_stays_within_the_precision_asked_for(values, precision):
    given_values = np.array(values, np.float32)
    error = np.abs(store.quantize(given_values, precision).astype(float) - given_values)
    # float32 itself resolves 6e-5 at 1000
    assert (error <= precision + 6.2e-5).all()


def test_full_precision_is_untouched():
    values = np.array([0.1, 1 / 3], np.float32)
    assert store.quantize(values, None) is values


def test_a_table_is_replaced_once_the_old_one_is_erased(path):
    store.write_table(path, "ka_0.0/ensemble", xr.Dataset({"a": ("x", [1.0, 2.0])}))
    wholeness.erase(path, [Region("ka_0.0/ensemble")])
    store.write_table(path, "ka_0.0/ensemble", xr.Dataset({"b": ("x", [1.0, 2.0, 3.0])}, {"x": ["p", "q", "r"]}))
    table = store.read_table(path, "ka_0.0/ensemble")
    assert list(table.data_vars) == ["b"]
    assert [str(x) for x in table["x"].values] == ["p", "q", "r"]
    assert [file.name for file in path.parent.iterdir()] == ["study.zarr"]


def test_arrays_join_a_table_and_are_erased_alone(path):
    group, first = "ka_0.0/ensemble", xr.Dataset({"a": ("x", [1.0, 2.0])}, {"x": [0, 1]})
    store.write_table(path, group, first)
    store.add_to_table(path, group, xr.Dataset({"b": ("x", [3.0, 4.0])}, {"x": [0, 1]}))
    assert store.open_group(path, group)["b"].sel(x=1) == 4.0
    wholeness.erase(path, [Region(group, ("b", "c"))])
    xr.testing.assert_equal(store.open_group(path, group).load(), first)


@pytest.mark.parametrize("system", ["ka_0.0", "ka+b", "a.b-c_d", "α β", "a%2Fb"])
def test_a_group_lost_between_two_renames_is_brought_back(tmp_path, system):
    path, layout = tmp_path / "a study %2F.zarr", make_layout(system=system)
    lay_out(path, layout, {})
    fill(path, layout)
    before = dg.open_store(path)[f"{system}/production"].to_dataset().load()
    old = store._old(path, f"{system}/production")
    (path / system / "production").rename(old)
    old.with_name(f"{old.name.removesuffix('.old')}.new").mkdir()
    store.recover(path)
    xr.testing.assert_identical(dg.open_store(path)[f"{system}/production"].to_dataset().load(), before)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_laying_out_brings_back_what_was_lost_between_two_renames(tmp_path):
    path, layout = tmp_path / "study.zarr", make_layout()
    lay_out(path, layout, {})
    fill(path, layout)
    (path / "ka_0.0/production").rename(store._old(path, "ka_0.0/production"))
    lay_out(path, layout, {})
    assert dg.open_store(path)["ka_0.0/production/hop"].notnull().all()


def test_metadata_is_gathered_for_readers_and_forgotten_before_writing(path):
    metadata.consolidate(path)
    assert zarr.open_group(path, mode="r", use_consolidated=True).metadata.consolidated_metadata is not None
    metadata.drop_consolidated(path)
    assert zarr.open_group(path, mode="r").metadata.consolidated_metadata is None


def test_plain_xarray_and_zarr_read_everything_without_daskglass(path):
    metadata.consolidate(path)
    code = (
        "import sys, warnings; warnings.simplefilter('error'); import xarray, zarr\n"
        f"tree = xarray.open_datatree({str(path)!r}, engine='zarr')\n"
        "run = tree['ka_0.0/production'].dataset.sel(temperature=0.69, method='nearest')\n"
        "assert run.position.dims == ('replica', 'time', 'particle', 'xyz'), run\n"
        "assert run.hop.attrs['units'] == 'sigma**2' and run.species.attrs['names'] == ['A', 'B']\n"
        f"assert zarr.open_group({str(path)!r}, mode='r')['ka_0.0/production/hop'].shape == (3, 2, 21, 10)\n"
        "assert not any(name.startswith('daskglass') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_missing_store_is_an_error_with_the_command_that_creates_one(tmp_path):
    with pytest.raises(StoreError, match="no store here"):
        dg.open_store(tmp_path / "none.zarr")
