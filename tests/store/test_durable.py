"""What a function wrote is on disk when it returns: a power cut a moment later takes nothing of it."""

import os

import numpy as np
import pytest
import xarray as xr

from daskglass.store import blocks as store
from daskglass.store import durable
from daskglass.store.aside import folder_aside, writing
from daskglass.store.ledger import Ledger
from daskglass.store.template import lay_out
from tests import power
from tests.store.test_store import make_layout

HOP = {"hop": np.ones((8, 10), np.float32)}
TABLE = xr.Dataset({"tau": ("temperature", [1.0, 2.0])})


def replace(folder):
    durable.replace_file(folder / "file", "new")


def publish(folder):
    (folder / "a").write_text("a")
    (folder / "b").write_text("b")
    durable.publish([(folder / "a", folder / "deep/er/a"), (folder / "b", folder / "deep/b")], folder)


def record(folder):
    ledger = Ledger(folder / "study.zarr")
    ledger.create()
    ledger.complete("hops-a", {}, {})
    ledger.begin(["hops-a"])


def lay(folder):
    lay_out(folder / "study.zarr", make_layout(), {"delta": 0.0})


def grow(folder):
    lay(folder)
    store.write_block(folder / "study.zarr", make_layout().blocks()[0], HOP)
    lay_out(folder / "study.zarr", make_layout(frames=30), {"delta": 0.1})


def write(folder):
    lay(folder)
    with folder_aside(folder / "study.zarr") as aside, writing(aside):
        store.write_block(folder / "study.zarr", make_layout().blocks()[0], HOP)


def tabulate(folder):
    store.write_table(folder / "study.zarr", "ka/table", TABLE)
    store.add_to_table(folder / "study.zarr", "ka/table", TABLE.rename(tau="D"))


@pytest.fixture
def folder(tmp_path):
    """Return a folder in which a file says `old`, and where what is certain to outlast a cut is kept."""
    root, synced = tmp_path / "root", tmp_path / "synced"
    root.mkdir()
    synced.mkdir()
    (root / "file").write_text("old")
    for path in (root / "file", root):
        power.keep(str(path), synced)
    return root, synced


@pytest.mark.parametrize("writer", [replace, publish, record, lay, grow, write, tabulate])
def test_what_was_written_outlasts_a_power_cut_that_follows_at_once(folder, monkeypatch, writer):
    root, synced = folder
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", power.keeping(str(root), synced))
        writer(root)
    there = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert len(there) > 1 or there["file"] == b"new"
    # beside it a group may come back that was replaced: the next run removes it
    assert there.items() <= power.certain(root, synced).items()


def test_a_file_that_is_replaced_is_whole_at_every_moment(folder, monkeypatch):
    root, synced = folder
    sync, seen = power.keeping(str(root), synced), []

    def cut_here(handle):
        sync(handle)
        seen.append(((root / "file").read_text(), power.certain(root, synced)["file"]))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", cut_here)
        replace(root)
    assert seen == [("old", b"old"), ("new", b"new")]


def test_a_chunk_of_a_run_that_grows_is_there_before_every_rename(tmp_path, monkeypatch):
    write(tmp_path)
    chunk = (tmp_path / "study.zarr/ka_0.0/production/hop/c/0/0/0/0").read_bytes()
    rename, there = os.replace, []

    def stop_here(old, new):
        # what lies aside is taken away by the next run
        left = [file for file in tmp_path.rglob("*") if file.is_file() and ".writing." not in str(file)]
        there.append(chunk in [file.read_bytes() for file in left])
        rename(old, new)

    monkeypatch.setattr(os, "replace", stop_here)
    lay_out(tmp_path / "study.zarr", make_layout(frames=30), {"delta": 0.1})
    assert len(there) > 2
    assert all(there)
