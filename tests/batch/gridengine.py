"""A Grid Engine of one host, for tests, in a network of its own.

Its daemons listen on every address there is; so within `up` this process, and all that it starts, is in a network
namespace which has nothing but loopback. Everything else is in one folder.
"""

import ctypes
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.batch import slurm
from tests.batch.slurm import Process, end, install, wait

# msmtp-mta: a mail program is required, and this one is no daemon
PACKAGES = ["gridengine-master", "gridengine-exec", "gridengine-client", "msmtp-mta", "iproute2"]
BINARIES = Path("/usr/lib/gridengine")
SHARED = Path("/usr/share/gridengine")
DAEMONS = {"sge_qmaster", "sge_execd", "sge_shepherd"}
CLONE_NEWNET = 0x40000000

BOOTSTRAP = """admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {folder}/default/common;{folder}/qmaster
binary_path {binaries}
qmaster_spool_dir {folder}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
HOST = """hostname {host}
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
QUEUE = """qname debug
hostlist {host}
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH
ckpt_list NONE
pe_list NONE
rerun FALSE
slots 8
tmpdir /tmp
shell /bin/sh
prolog NONE
epilog NONE
shell_start_mode unix_behavior
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:05
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
{limits}"""
LIMITS = ["rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem"]


def obstacle() -> str | None:
    """Why this machine cannot have it, None where it can."""
    if why_not := slurm.obstacle():
        return why_not.replace("Slurm", "Grid Engine")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        return "needs the right to make a network namespace: starts Grid Engine in one"
    return None


@contextmanager
def up(folder: Path) -> Iterator[None]:
    """Grid Engine in a new folder, with the environment its commands need; nothing is left of it afterwards."""
    if not (BINARIES / "sge_qmaster").exists():
        # else the package begins a cluster of its own
        answer = "gridengine-common shared/gridengineconfig boolean false"
        subprocess.run(["debconf-set-selections"], input=answer, text=True, check=True)
        install(PACKAGES)
    host = socket.gethostname()
    address = socket.gethostbyname(host)
    with pytest.MonkeyPatch.context() as patch, _network_of_its_own(address):
        patch.setenv("SGE_ROOT", str(folder))
        patch.setenv("SGE_CELL", "default")
        patch.setenv("SGE_QMASTER_PORT", "6444")
        patch.setenv("SGE_EXECD_PORT", "6445")
        folder.mkdir(mode=0o755)
        try:
            _write(folder, host, address)
            _start(folder, host)
            yield
        finally:
            end(processes)
            shutil.rmtree(folder)


def processes() -> list[Process]:
    """All that runs of it: daemons, and what jobs started; zombies do not count."""
    return slurm.running(f"SGE_ROOT={os.environ['SGE_ROOT']}", DAEMONS, "JOB_ID=")


def _write(folder: Path, host: str, address: str) -> None:
    common = folder / "default/common"
    for path in (common, folder / "qmaster/job_scripts", folder / "execd"):
        path.mkdir(parents=True)
    (common / "bootstrap").write_text(BOOTSTRAP.format(folder=folder, binaries=BINARIES))
    (common / "act_qmaster").write_text(f"{host}\n")
    name, others, _ = socket.gethostbyaddr(address)
    aliases = [alias for alias in dict.fromkeys([name, *others]) if alias != host]
    (common / "host_aliases").write_text(" ".join([host, *aliases]) + "\n")
    changed = {"execd_spool_dir": folder / "execd", "mailer": "/bin/true", "min_uid": 0, "min_gid": 0}
    defaults = re.findall(r"^(\w+)\s+(.+)$", (SHARED / "default-configuration").read_text(), flags=re.MULTILINE)
    (folder / "configuration").write_text("".join(f"{key} {changed.get(key, value)}\n" for key, value in defaults))
    limits = "".join(f"{kind}_{limit} INFINITY\n" for limit in LIMITS for kind in "sh")
    (folder / "host").write_text(HOST.format(host=host))
    (folder / "queue").write_text(QUEUE.format(host=host, limits=limits))
    _run(str(BINARIES / "spoolinit"), "classic", "libspoolc", f"{common};{folder}/qmaster", "init")
    resources = SHARED / "util/resources"
    for what, where in (
        ("configuration", folder / "configuration"),
        ("complexes", resources / "centry"),
        ("usersets", resources / "usersets"),
        ("managers", "root"),
    ):
        _run(str(BINARIES / "spooldefaults"), what, str(where))


def _start(folder: Path, host: str) -> None:
    _run(str(BINARIES / "sge_qmaster"))
    wait(lambda: _succeeds("qconf", "-sh"), f"sge_qmaster does not answer; its log is in {folder}/qmaster")
    _run("qconf", "-as", host)
    _run("qconf", "-Ae", str(folder / "host"))
    _run("qconf", "-Aq", str(folder / "queue"))
    # else a job waits for the next round
    (folder / "scheduler").write_text(re.sub(r"(flush_\w+_sec\s+)0", r"\g<1>1", _run("qconf", "-ssconf")))
    _run("qconf", "-Msconf", str(folder / "scheduler"))
    _run(str(BINARIES / "sge_execd"))


@contextmanager
def _network_of_its_own(address: str) -> Iterator[None]:
    """A network for this thread and all it starts, with loopback alone, at which `address` is to be found too."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter("unshare", CLONE_NEWNET)
        _run("ip", "link", "set", "lo", "up")
        if not address.startswith("127."):
            _run("ip", "address", "add", f"{address}/32", "dev", "lo")
        yield
    finally:
        _enter("setns", home, CLONE_NEWNET)
        os.close(home)


def _enter(call: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, call)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{call} of a network namespace: {os.strerror(ctypes.get_errno())}")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
