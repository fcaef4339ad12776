"""Tables of a study: small files that give back what was found, whole or not at all, and that nothing can be smuggled into."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from daskglass.errors import StoreError, StudyError
from daskglass.store import tables as module
from daskglass.store.blocks import add_to_table
from daskglass.store.tables import read_tables, write_tables
from tests.report.synthetic import build, mixture_of

SYSTEMS = {"ka_0.0": mixture_of("A", "B"), "mine": mixture_of("A", "B", density=1.1)}


def with_axes(_: str, ensemble: xr.Dataset) -> xr.Dataset:
    """The ensemble as the pipeline leaves it, with the counts of every candidate."""
    ensemble = ensemble.assign_coords(replica=[0, 1], time=np.arange(21.0))
    counts = ("variable", "temperature", "replica", "candidate", "time", "stratum")
    shape = (2, ensemble.sizes["temperature"], 2, ensemble.sizes["temperature"], 21, 5)
    return ensemble.assign(candidate_samples=(counts, np.ones(shape, np.int64)))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build(tmp_path_factory.mktemp("stores") / "made.zarr", systems=SYSTEMS, change=with_axes)


@pytest.fixture(scope="module")
def written(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables") / "new" / "folder"
    assert write_tables(store, folder) == [folder / "ka_0.0.nc", folder / "mine.nc"]
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """Copy of the tables of one system, one's own to damage."""
    shutil.copy(written / "ka_0.0.nc", tmp_path)
    return tmp_path


def test_tables_give_back_what_the_store_holds(store, written):
    found, expected = read_tables(written), read_tables(store)
    assert list(found) == list(expected) == ["ka_0.0", "mine"]
    for system in found:
        back, there = found[system], expected[system]
        assert back.attrs == there.attrs
        xr.testing.assert_equal(back.model, there.model)
        there_kept = there.ensemble.drop_vars(module.LEFT_OUT, errors="ignore")
        xr.testing.assert_allclose(back.ensemble, there_kept, rtol=1e-6)
        for name, variable in there_kept.variables.items():
            if "r" not in variable.dims or variable.ndim == 1:
                np.testing.assert_array_equal(back.ensemble[name].values, variable.values)
            assert back.ensemble[name].attrs == variable.attrs


def test_tables_say_what_they_are_of(written):
    attrs = read_tables(written)["mine"].attrs
    assert json.loads(attrs["mixture"])["density"] == 1.1
    assert json.loads(attrs["study"])["study"] == "synthetic"
    assert json.loads(attrs["versions"])["daskglass"] == "0.1.0"
    assert attrs["particles"] == 120


def test_a_file_is_small_and_any_program_reads_it(written):
    assert (written / "ka_0.0.nc").stat().st_size < 300_000
    with xr.open_dataset(written / "ka_0.0.nc", engine="h5netcdf", group="ensemble") as ensemble:
        assert not [name for name in ensemble.variables if str(name).startswith("candidate_")]
        assert ensemble["g"].dtype == np.float32
        assert ensemble["s2"].dtype == ensemble["r"].dtype == np.float64
        assert ensemble["s2"].attrs["units"] == "k_B"


def test_tables_of_the_same_store_are_the_same_bytes_and_others_stay(store, written, tmp_path):
    (tmp_path / "other.nc").write_bytes(b"of somebody")
    write_tables(store, tmp_path)
    assert (tmp_path / "mine.nc").read_bytes() == (written / "mine.nc").read_bytes()
    assert (tmp_path / "other.nc").read_bytes() == b"of somebody"


def test_all_tables_appear_or_none(store, tmp_path, monkeypatch):
    (tmp_path / "ka_0.0.nc").write_text("before")
    real, done = module._write, []

    def fail_at_the_second(tables, file):
        if done:
            raise OSError("disk full")
        done.append(real(tables, file))

    monkeypatch.setattr(module, "_write", fail_at_the_second)
    with pytest.raises(OSError, match="disk full"):
        write_tables(store, tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize(
    ("gone", "message"), [("ensemble", "mine lacks ensemble"), ("model", "mine lacks model"),
                          ("ensemble/activation_energy", "mine lacks its barriers")],
)  # fmt: skip
def test_an_unfinished_system_is_not_written_and_not_read(store, tmp_path, gone, message):
    path = tmp_path / "part.zarr"
    shutil.copytree(store, path)
    shutil.rmtree(path / "mine" / gone)
    with pytest.raises(StoreError, match=f"{message}: finish its study"):
        write_tables(path, tmp_path / "tables")
    assert not (tmp_path / "tables").exists()
    assert list(read_tables(path)) == ["ka_0.0"]


def test_an_ensemble_without_replicas_is_no_table(tmp_path):
    with pytest.raises(StoreError, match="the ensemble lacks replica and time"):
        read_tables(build(tmp_path / "bare.zarr"))


def test_tables_are_not_written_into_a_store(store):
    with pytest.raises(StudyError, match="is a store"):
        write_tables(store, store)


def test_what_is_neither_a_store_nor_tables_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none", Path(__file__)):
        with pytest.raises(StoreError, match="neither a store with a finished system nor a folder of tables: write"):
            read_tables(path)
    with pytest.raises(StoreError, match="no store here"):
        write_tables(tmp_path, tmp_path / "tables")


def test_a_missing_library_is_named_with_the_remedy(store, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    for action in (lambda: read_tables(folder), lambda: write_tables(store, folder / "new")):
        with pytest.raises(StoreError, match=r'install it with pip install "daskglass\[export\]"'):
            action()
    assert not (folder / "new").exists()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_a_file_cut_short_is_named(folder, kept):
    file = folder / "ka_0.0.nc"
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(StoreError, match=r"ka_0\.0\.nc: cannot be read: damaged, cut short"):
        read_tables(folder)


def replaced(folder, name, **how):
    """Put something else in the place of a variable of the ensemble."""
    with h5py.File(folder / "ka_0.0.nc", "a") as file:
        del file[f"ensemble/{name}"]
        if how:
            file.create_dataset(f"ensemble/{name}", **how)


@pytest.mark.parametrize(
    "how",
    [
        {"data": np.void(b"cposix\nsystem\n")},
        {"shape": (1,), "dtype": h5py.vlen_dtype(np.float64)},
        {"data": np.array((1, 2.0), dtype=[("a", "i4"), ("b", "f8")])},
    ],
    ids=["opaque", "ragged", "compound"],
)
def test_what_is_neither_number_nor_text_is_refused_unread(folder, how):
    replaced(folder, "density", **how)
    with pytest.raises(StoreError, match=r"ka_0\.0\.nc: density holds neither numbers nor texts"):
        read_tables(folder)


def test_a_small_file_that_declares_gigabytes_is_refused_unread(folder):
    replaced(folder, "density", shape=(2**30,), dtype="f8", chunks=(2**20,), compression="gzip")
    assert (folder / "ka_0.0.nc").stat().st_size < 500_000
    with pytest.raises(StoreError, match=r"ensemble declares 8,5.* bytes, more than any table has"):
        read_tables(folder)


def test_arrays_of_other_files_are_refused_unread(folder):
    with h5py.File(folder / "ka_0.0.nc", "a") as file:
        file["ensemble/elsewhere"] = h5py.ExternalLink("other.h5", "/secret")
    h5py.File(folder / "other.h5", "w").create_dataset("secret", data=1.0)
    with pytest.raises(StoreError, match="elsewhere is no array of this file"):
        read_tables(folder)
    with h5py.File(folder / "ka_0.0.nc", "a") as file:
        del file["ensemble/elsewhere"]
        file.create_dataset("ensemble/outside", (1,), "f8", external=[(str(folder / "other.h5"), 0, 8)])
    with pytest.raises(StoreError, match="outside is no array of this file"):
        read_tables(folder)


@pytest.mark.parametrize("study", ["[1]", "{", "7"])
def test_a_damaged_attribute_is_named(folder, study):
    with h5py.File(folder / "ka_0.0.nc", "a") as file:
        file.attrs["study"] = study
    with pytest.raises(StoreError, match=r"ka_0\.0\.nc: the attribute study is damaged"):
        read_tables(folder)


def test_a_file_without_the_axes_of_an_ensemble_is_refused(folder):
    replaced(folder, "temperature")
    with pytest.raises(StoreError, match=r"the ensemble lacks temperature|ka_0\.0\.nc: cannot be read: damaged"):
        read_tables(folder)


@pytest.mark.parametrize("T", [[1.0, 1.0], [1.0, np.nan], [1.0, -0.5]])
def test_temperatures_that_are_none_or_there_twice_are_refused(store, tmp_path, T):
    ensemble = read_tables(store)["ka_0.0"].ensemble.isel(temperature=[0, 1]).assign_coords(temperature=T)
    with pytest.raises(StoreError, match="temperatures must be positive numbers, each once"):
        module._checked(tmp_path, {}, ensemble, xr.Dataset())


def test_a_variable_of_text_is_refused(store, tmp_path):
    ensemble = read_tables(store)["ka_0.0"].ensemble.assign(s2=("temperature", list("abcde")))
    with pytest.raises(StoreError, match="s2 holds no numbers"):
        module._checked(tmp_path, {}, ensemble, xr.Dataset())


def test_variables_that_are_added_to_a_store_later_are_in_its_tables(store, tmp_path):
    path = tmp_path / "more.zarr"
    shutil.copytree(store, path)
    add_to_table(path, "mine/ensemble", xr.Dataset({"s2_grouped_pooled_err": ("softness_bin", np.ones(10))}))
    write_tables(path, tmp_path / "tables")
    assert "s2_grouped_pooled_err" in read_tables(tmp_path / "tables")["mine"].ensemble
