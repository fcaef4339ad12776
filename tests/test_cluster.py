"""Clusters that need no batch system: of this machine, and running ones that are joined."""

import socket

import dask
import pytest
from distributed import LocalCluster

from daskglass import cluster
from daskglass.cluster import connect
from daskglass.errors import ClusterError
from daskglass.keys import make_keys
from daskglass.profiles import load_profile


@pytest.fixture
def profile(tmp_path):
    """Profile as cluster.yaml would have it, checked."""

    def load(text):
        path = tmp_path / "cluster.yaml"
        path.write_text(f"here: {{{text}}}\n")
        return load_profile("here", path)

    return load


def lose_all_workers(connection):
    connection.client.retire_workers(list(connection.client.nthreads()))


def wait_for_the_problem(connection, message):
    def check_for_ever():
        while True:
            connection.check()

    with pytest.raises(ClusterError, match=message):
        check_for_ever()


def test_a_local_run_that_has_lost_all_its_workers_ends(profile, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WORKERLESS", 0.5)
    with connect(profile("type: local, workers: 1"), tmp_path / "store.zarr") as connection:
        connection.check()
        lose_all_workers(connection)
        wait_for_the_problem(connection, "all worker processes are gone; the same command again continues")


def test_a_running_cluster_is_joined_with_its_keys_and_left_running(profile, tmp_path):
    _, security = make_keys(tmp_path, "theirs.")
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        host="127.0.0.1",
        protocol="tls://",
        security=security,
        dashboard_address=None,
    ) as theirs:
        joined = profile(
            f"type: address, address: '{theirs.scheduler_address}', wait: 1s, tls_ca_file: {security.tls_ca_file}, "
            f"tls_cert: {security.tls_client_cert}, tls_key: {security.tls_client_key}"
        )
        with connect(joined, tmp_path / "store.zarr") as connection:
            assert connection.client.submit(sum, (1, 2)).result() == 3
        assert len(theirs.scheduler.workers) == 1
        with connect(joined, tmp_path / "store.zarr") as connection:
            lose_all_workers(connection)
            wait_for_the_problem(connection, "the scheduler has had no worker for 1 s")


def test_a_scheduler_that_is_not_there_is_told(profile, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    joined = profile(f"type: address, address: '{address}'")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ClusterError, match=f"{address}: no scheduler answers there"),
        connect(joined, tmp_path / "store.zarr"),
    ):
        pass
