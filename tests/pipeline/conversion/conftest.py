"""Good files, and the store made of them."""

import shutil

import pytest
from distributed import Client

from tests.pipeline.conversion.files import convert, make_runs, write_files


@pytest.fixture(scope="module")
def client():
    with Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as client:
        yield client


@pytest.fixture(scope="module")
def good(tmp_path_factory, client):
    """Folder of good files, and the store made of them."""
    folder = tmp_path_factory.mktemp("good")
    write_files(folder, make_runs(), log=True)
    assert not convert(folder, client).failures
    return folder


@pytest.fixture
def folder(good, tmp_path):
    """Folder of the same files, one's own to change."""
    shutil.copytree(good / "data", tmp_path / "data")
    return tmp_path
