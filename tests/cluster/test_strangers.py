"""What another user of this machine can do to a run: join nothing, read nothing, run nothing."""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from distributed import Client, LocalCluster
from tornado.httpclient import HTTPClientError
from tornado.routing import PathMatches, RuleRouter
from tornado.websocket import websocket_connect

from daskglass.cli.session import announce
from daskglass.cluster.connect import connect
from daskglass.cluster.folders import is_private, private_folder
from daskglass.cluster.keys import make_keys
from daskglass.cluster.profiles import load_profile
from daskglass.store.lock import locked
from tests.kernels.test_cache import MEAN
from tests.studies import started

NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")

# What somebody would try who has an account on this machine: all ports as a client, without keys and with keys of their own;
# all ports as a browser; all files. Prints what it could do.
STRANGER = """
import asyncio, json, os, socket, sys
from pathlib import Path
from distributed import Client, Worker
from distributed.core import connect
from distributed.protocol.serialize import to_serialize
from distributed.security import Security
import distributed.comm.tcp, distributed.protocol.pickle, multiprocessing.connection
given = json.load(sys.stdin)
own = Security.temporary().get_connection_args("client")  # of files that are read as root
os.setgroups([]); os.setgid(given["user"]); os.setuid(given["user"])
done = []

async def call(scheme, port):
    keys = own if scheme == "tls" else {}
    comm = await connect(f"{scheme}://127.0.0.1:{port}", timeout=3, **keys)
    await comm.write({"op": "identity", "reply": True})
    done.append(f"joined {port} by {scheme}: {(await comm.read())['type']}")
    await comm.write({"op": "run", "function": to_serialize(os.getpid), "reply": True})
    done.append(f"ran on {port} by {scheme}: {await comm.read()}")

async def get(path, port, more=""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nConnection: close\\r\\n{more}\\r\\n".encode())
    answer = await reader.read(100_000)
    status = answer.split(b" ", 2)[1:2]
    if status and status not in ([b"403"], [b"404"]):
        done.append(f"read {path} on {port}: {status}")
    if given["secret"] and given["secret"].encode() in answer:
        done.append(f"read the secret in {path} on {port}")

async def attempt(coroutine):
    try:
        await asyncio.wait_for(coroutine, 10)
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)

async def main():
    upgrade = ("Upgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n")
    await asyncio.gather(
        *(attempt(call(scheme, port)) for scheme in ("tcp", "tls") for port in given["ports"]),
        *(attempt(get(path, port)) for path in given["paths"] for port in given["ports"]),
        *(attempt(get("/status/ws", port, upgrade)) for port in given["ports"]),
    )

asyncio.run(main())
for top in given["files"]:
    for path in [top, *(os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)]:
        for what, mode in (("read", os.R_OK), ("written", os.W_OK)):
            if os.access(path, mode):
                done.append(f"{what}: {path}")
print(json.dumps(done))
"""
PATHS = ["/", "/status", "/study", "/health", "/metrics", "/sitemap.json", "/json/counts.json", "/info/main/workers.html",
         "/individual-progress", "/api/v1/get_workers", "/statics/css/base.css", "/static/js/bokeh.min.js"]  # fmt: skip


def stranger(ports, files=(), secret="", paths=PATHS):
    """What another user can do with ports and files of ours."""
    given = {"user": NOBODY, "ports": sorted(ports), "files": list(map(str, files)), "secret": secret, "paths": paths}
    done = subprocess.run(
        [sys.executable, "-c", STRANGER], input=json.dumps(given), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def listening(process):
    """Ports that a process and its children listen on, by process."""
    family = [process, *process.children(recursive=True)]
    found = {
        each.pid: [c.laddr for c in each.net_connections("inet") if c.status == psutil.CONN_LISTEN] for each in family
    }
    return {pid: addresses for pid, addresses in found.items() if addresses}


def ports(process):
    return {address.port for addresses in listening(process).values() for address in addresses}


@pytest.fixture
def shared(monkeypatch):
    """Folder that everybody may enter, with one for what is temporary where everybody may write: a login node's."""
    with tempfile.TemporaryDirectory(prefix="strangers-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o1777)
        monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.chdir(folder)
        before = os.umask(0o022)
        yield folder
        os.umask(before)


@contextmanager
def local(folder, workers=1):
    (folder / "cluster.yaml").write_text(f"here: {{type: local, workers: {workers}}}\n")
    with connect(load_profile("here", folder / "cluster.yaml"), folder / "store.zarr") as connection:
        yield connection


def secret_of(connection):
    return urlsplit(connection.dashboard).path.split("/")[1]


@needs_root
def test_a_stranger_can_do_nothing_to_a_run(shared):
    store = shared / "store.zarr"
    with local(shared, workers=2) as connection, locked(store):
        announce(connection, quiet=True, store=store)
        # something that is spilled, or could be
        connection.client.scatter([b"x" * 10_000])
        found = ports(psutil.Process())
        # of the scheduler two, and of each worker and nanny one
        assert len(found) >= 6
        done, tried = stranger(found, shared.glob("tmp/*"), secret_of(connection))
        assert not done
        assert tried


@needs_root
def test_a_stranger_can_do_nothing_to_a_cluster_that_is_tried(shared):
    environment = os.environ | {"TMPDIR": str(shared / "tmp")}
    arguments = ["-m", "daskglass", "cluster", "local"]
    with started(*arguments, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout.readline().startswith("dashboard: ")
            assert "workers" in process.stdout.readline()
            done, _ = stranger(ports(psutil.Process(process.pid)), shared.glob("tmp/*"))
            assert not done
        finally:
            process.terminate()
            process.wait(timeout=60)


@needs_root
def test_a_stranger_can_do_anything_to_a_cluster_without_keys(shared):
    """Else these tests would show nothing."""
    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"):
        (shared / "tmp/key").write_text("")
        done, _ = stranger(ports(psutil.Process()), [shared / "tmp"])
    text = "\n".join(done)
    for what in ("joined", "ran on", "read /status on", "read /status/ws on", f"read: {shared}/tmp/key", "written"):
        assert what in text
    assert {"Scheduler", "Worker", "Nanny"} <= {line.rpartition(": ")[2] for line in done if line.startswith("joined")}


@needs_root
def test_a_stranger_reads_no_keys_of_a_batch_cluster(shared):
    before = os.umask(0)
    keys, security = make_keys(shared, shared / "store.zarr")
    os.umask(before)
    assert {Path(security.tls_ca_file), Path(security.tls_scheduler_key)} <= set(keys.iterdir())
    assert stranger((), [keys, *keys.iterdir()])[0] == []


@needs_root
def test_a_stranger_neither_reads_nor_writes_compiled_kernels(shared):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", MEAN], check=True, env=environment, capture_output=True)
    assert list(shared.glob("tmp/**/*.nbc"))
    assert stranger((), shared.glob("tmp/*"))[0] == []


@needs_root
def test_the_secret_is_not_in_the_lock_for_all_to_read(shared):
    store = shared / "store.zarr"
    with locked(store) as report:
        report({"dashboard": "http://127.0.0.1:1/SECRET/status"})
        assert stranger((), [shared / "store.zarr.lock"])[0] == []


# --- pages ---


def status_of(address):
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def paths_of(router):
    """All paths that a server has something for, as far as they are no patterns."""
    patterns = {rule.matcher.regex.pattern for rule in router.rules if isinstance(rule.matcher, PathMatches)}
    found = {pattern.removesuffix("$").removesuffix("/?") for pattern in patterns}
    below = (rule.target for rule in router.rules if isinstance(rule.target, RuleRouter))
    return {path for path in found.union(*map(paths_of, below)) if re.fullmatch("[/.\\w-]+", path)}


def test_no_page_is_shown_without_the_secret_of_the_run(shared):
    with local(shared) as connection:
        announce(connection, quiet=True, store=shared / "store.zarr")
        secret, (root, _) = secret_of(connection), connection.dashboard.split("/" + secret_of(connection))
        server = connection.scheduler.http_application
        paths = set().union(*(paths_of(each.default_router) for each in (server, *server.applications)))
        assert {"/", "/sitemap.json", *(f"/{secret}/{page}" for page in ("study", "status", "health"))} <= paths
        assert len(paths) > 60
        for path in paths:
            for tried in {
                path.replace(f"/{secret}", ""),
                path.replace(secret, "x" * len(secret)),
                f"/{secret[:-1]}/status",
            }:
                assert status_of(root + tried) == 403, tried
        assert {status_of(f"{root}/{secret}/{page}") for page in ("status", "study", "health")} == {200}


def test_the_secret_of_a_run_cannot_be_guessed_from_that_of_another(shared):
    found = []
    for _ in range(2):
        with local(shared) as connection:
            found.append(secret_of(connection))
    # 24 random bytes, 6 bits a letter
    assert [len(secret) for secret in found] == [32, 32]
    assert sum(first == second for first, second in zip(*found, strict=True)) < 8


def test_pages_send_what_changes_only_to_who_knows_the_secret(shared):
    with local(shared) as connection:
        address = connection.dashboard.replace("http:", "ws:")
        secret = secret_of(connection)

        def connected(url):
            try:
                connection.client.sync(websocket_connect, url, subprotocols=["bokeh", "x"])
            except HTTPClientError as error:
                return error.code
            return 101

        assert connected(f"{address.replace(f'/{secret}', '')}/ws") == 403
        # Bokeh itself refuses who has not asked for the page before
        assert connected(f"{address}/ws") != 403


# --- ports ---


def test_a_local_cluster_listens_on_loopback_alone_and_workers_serve_no_http(shared):
    # other tests of this process may have left something open
    before = {address for addresses in listening(psutil.Process()).values() for address in addresses}
    with local(shared, workers=2):
        now = listening(psutil.Process())
        found = {
            pid: new for pid, addresses in now.items() if (new := [each for each in addresses if each not in before])
        }
        assert {address.ip for addresses in found.values() for address in addresses} == {"127.0.0.1"}
        workers = [addresses for pid, addresses in found.items() if pid != os.getpid()]
        assert [len(addresses) for addresses in workers] == [1, 1]


def test_keys_of_a_local_cluster_are_in_no_file(shared):
    with local(shared):
        written = [file for file in shared.rglob("*") if file.is_file()]
        assert any("dask-scratch-space" in file.parts for file in written)
        assert not [file for file in written if b"PRIVATE KEY" in file.read_bytes()]


def test_keys_of_a_run_are_never_used_without_encryption(tmp_path):
    _, security = make_keys(tmp_path, tmp_path / "store.zarr")
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", protocol="tcp://", dashboard_address=None) as open_to_all,
        pytest.raises(RuntimeError, match="encryption required"),
    ):
        Client(open_to_all.scheduler_address, security=security, timeout="3s")


# --- folders ---


def test_what_is_spilled_lies_in_a_folder_of_the_user_alone(shared):
    # what another user made before
    planted = shared / "tmp/dask-scratch-space"
    planted.mkdir()
    planted.chmod(0o777)

    def places(dask_worker=None):
        return [path for path in sys.path if path.startswith(os.environ["TMPDIR"])]

    with local(shared) as connection:
        of_workers = connection.client.run(places).values()
        of_nannies = connection.client.run(places, nanny=True).values()
        found = {path for paths in (places(), *of_workers, *of_nannies) for path in paths}
    own = shared / f"tmp/daskglass-{os.getuid()}"
    assert found
    assert {Path(path).relative_to(own).parts[0] for path in found} == {"dask-scratch-space"}
    assert is_private(own)


def by_another_user(path):
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(by_another_user, marks=needs_root),
        lambda path: (path.mkdir(), path.chmod(0o777)),
        lambda path: (path.mkdir(), path.chmod(0o750)),
        lambda path: (path.with_name("own").mkdir(mode=0o700), path.symlink_to(path.with_name("own"))),
        lambda path: path.touch(),
    ],
    ids=["of another user", "others may write", "others may read", "a link", "a file"],
)
def test_a_folder_that_is_not_the_user_s_alone_is_not_used(tmp_path, made):
    made(usual := tmp_path / f"daskglass-{os.getuid()}")
    with pytest.warns(UserWarning, match=f"{usual}: other users may read it"):
        found = private_folder(tmp_path)
    assert is_private(found)
    assert found != usual


def test_the_folder_of_the_user_is_found_again(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert private_folder(tmp_path / "new") == private_folder(tmp_path / "new")
