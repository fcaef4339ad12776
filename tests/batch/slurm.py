"""A Slurm of several virtual nodes on one Debian machine, for tests, on loopback alone.

    python tests/batch/slurm.py up|down [--nodes 3]

Everything of it, the job completion log `jobs` included, is in one folder: that of the file SLURM_CONF names, else
/var/tmp/daskglass-slurm, to which /etc/slurm/slurm.conf is linked where nothing is there. A configuration of others is
never touched. `up` starts what is not running and brings back nodes that are down; `down` leaves the packages only.
"""

import argparse
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

PACKAGES = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"}
DAEMONS = {"munged", "slurmctld", "slurmd", "slurmstepd"}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # the daemons' commands are not on everyone's

DEFAULT = Path("/var/tmp/daskglass-slurm/slurm.conf")
SYSTEM = Path("/etc/slurm/slurm.conf")
HEADER = "# Written by tests/batch/slurm.py of daskglass, which replaces and removes it."

# config_overrides: nodes declare more than the machine has. ReturnToService=1: a node set down stays down.
# Jobs start within a second or so, and are remembered for as long as Slurm is up.
CONFIGURATION = """{header}
ClusterName=daskglass
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1500
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs
MinJobAge=86400
KillWait=5
ReturnToService=1
MailProg=/bin/true
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE
PartitionName=short Nodes=ALL MaxTime=1
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=6000"


class Job(NamedTuple):
    """A job as squeue shows it; `node` is empty until it has one."""

    id: str
    state: str
    node: str
    reason: str


class Process(NamedTuple):
    """A process of the cluster: a daemon, a job's supervisor, or what a job runs."""

    pid: int
    name: str
    command: str


def obstacle() -> str | None:
    """Why this machine cannot have the cluster, None where it can."""
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        return "needs root on Debian: installs and starts Slurm"
    return None


def configuration() -> Path:
    """The slurm.conf of the cluster that up, down, jobs and set_node mean."""
    return Path(os.environ.get("SLURM_CONF", DEFAULT))


def up(nodes: int = 3) -> None:
    """Bring the cluster up with nodes n1, n2, …; start what died, bring back what is down.

    With another number of nodes than it has, it begins anew, without its jobs. Sets SLURM_CONF for this process.

    Raises
    ------
    RuntimeError
        where the machine is not for it, the configuration is not ours, or the daemons do not come up.
    """
    if why_not := obstacle():
        raise RuntimeError(why_not)
    path = configuration()
    _refuse_foreign(path)
    with _alone():
        if missing := [package for command, package in PACKAGES.items() if shutil.which(command, path=PATH) is None]:
            install(missing)
        if path.exists() and len(_ports(path)) != nodes:
            down()
        os.environ["SLURM_CONF"] = str(path)
        if not path.exists():
            _write(path, nodes)
        if path == DEFAULT and not os.path.lexists(SYSTEM):
            SYSTEM.parent.mkdir(exist_ok=True)
            SYSTEM.symlink_to(path)
        _start(path)
        wait(lambda: _ready(path), f"Slurm did not come up within 30 s; its logs are in {path.parent}")


def down() -> None:
    """Cancel the jobs, stop the daemons, and remove all they wrote.

    Raises
    ------
    RuntimeError
        where the configuration is not ours, or a process does not end.
    """
    path = configuration()
    _refuse_foreign(path)
    if path.exists() and any(process.name == "slurmctld" for process in processes()):
        if active := _slurm("squeue", "--noheader", "--format=%A").split():
            _slurm("scancel", "--quiet", *active)
        _until(lambda: {p.name for p in processes()} <= DAEMONS - {"slurmstepd"}, 10)
    end(processes)
    if SYSTEM.is_symlink() and SYSTEM.readlink() == path:
        SYSTEM.unlink()
    if path.exists():
        shutil.rmtree(path.parent)


def jobs() -> list[Job]:
    """All jobs since the cluster came up, ended ones too."""
    table = _slurm("squeue", "--noheader", "--states=all", "--sort=i", "--format=%A|%T|%N|%r")
    return [Job(*line.split("|", 3)) for line in table.splitlines()]


def set_node(name: str, state: str) -> None:
    """Put a node into a state of scontrol's: `down` kills its jobs, `drain` takes no more, `resume` takes jobs again."""
    _slurm("scontrol", "update", f"NodeName={name}", f"State={state}", "Reason=test")


def processes() -> list[Process]:
    """All that runs of the cluster: daemons, and what jobs started; zombies do not count."""
    return running(f"SLURM_CONF={configuration()}", DAEMONS, "SLURM_JOB_ID=")


def running(mark: str, daemons: set[str], job: str) -> list[Process]:
    """Processes with `mark` in their environment that have a daemon's name, or a variable that begins with `job`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            name = (entry / "comm").read_text().strip()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # ended meanwhile, or not root's to read
            continue
        if mark.encode() in environment and (
            name in daemons or any(variable.startswith(job.encode()) for variable in environment)
        ):
            found.append(Process(int(entry.name), name, command))
    return found


def end(left: Callable[[], list[Process]]) -> None:
    """End all processes that `left()` finds, gently and then not; RuntimeError with one that stays."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in left():
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(process.pid, number)
        _until(lambda: not left(), 5)
    if stays := left():
        raise RuntimeError(f"{stays[0].command} (process {stays[0].pid}) does not end")


def install(packages: list[str]) -> None:
    """Install Debian packages, without what they merely recommend."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode != 0:  # stale package lists
        subprocess.run(["apt-get", "update", "--quiet"], env=environment, stdout=subprocess.DEVNULL, check=True)
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def wait(true: Callable[[], bool], otherwise: str, seconds: float = 30) -> None:
    """Wait until `true()` holds; RuntimeError with the words `otherwise` where it does not in time."""
    if not _until(true, seconds):
        raise RuntimeError(otherwise)


def _refuse_foreign(path: Path) -> None:
    if path.parent.exists() and not (
        path.parent.stat().st_uid == 0 and path.is_file() and path.read_text().startswith(HEADER)
    ):
        raise RuntimeError(f"{path.parent} is there and not of this script; name another with SLURM_CONF, or remove it")


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time on this machine: two would choose the same ports."""
    handle = os.open(DEFAULT.parent.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, nodes: int) -> None:
    folder, host = path.parent, socket.gethostname().split(".")[0]
    controller, *ports = _free_ports(nodes + 1)
    for name in ("", "state", *(f"n{k}" for k in range(1, nodes + 1))):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    # the one that needs no cgroups mounted: which the daemons look for though nothing here uses them
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    lines = [NODE.format(name=f"n{k}", host=host, port=port) for k, port in enumerate(ports, 1)]
    path.write_text(
        CONFIGURATION.format(header=HEADER, host=host, port=controller, folder=folder, nodes="\n".join(lines))
    )


def _free_ports(count: int) -> list[int]:
    """Free ports of loopback in a row, below those the system hands out, so that a daemon finds its own again."""
    for first in range(6817, 32768, count):
        listeners = [socket.socket() for _ in range(count)]
        try:
            for port, listener in enumerate(listeners, first):
                listener.bind(("127.0.0.1", port))
            return list(range(first, first + count))
        except OSError:
            continue
        finally:
            for listener in listeners:
                listener.close()
    raise RuntimeError(f"no {count} free ports in a row on 127.0.0.1 between 6817 and 32767")


def _ports(path: Path) -> dict[str, int]:
    """The port of each node."""
    found = re.findall(r"^NodeName=(\S+) .*Port=(\d+)", path.read_text(), flags=re.MULTILINE)
    return {name: int(port) for name, port in found}


def _start(path: Path) -> None:
    folder = path.parent
    munged = ["munged", *(f"--{what}-file={folder}/munge.{what}" for what in ("key", "pid", "log", "seed"))]
    commands = [
        [*munged, f"--socket={folder}/munge.socket"],
        ["slurmctld", "-f", str(path)],
        *(["slurmd", "-f", str(path), "-N", node] for node in _ports(path)),
    ]
    if not any(process.name == "slurmctld" for process in processes()):
        # a controller that starts learns of a node when its slurmd does; jobs run on without either
        end(lambda: [process for process in processes() if process.name == "slurmd"])
    alive = {process.command for process in processes()}
    for command in commands:
        if " ".join(command) not in alive:
            _daemon(command, folder)


def _daemon(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} does not start: {done.stderr.strip()}; its log is in {folder}")


def _ready(path: Path) -> bool:
    """Whether every node takes jobs; one that was set down is brought back."""
    if subprocess.run(["scontrol", "ping"], env=_environment(), capture_output=True).returncode != 0:
        return False
    states = dict(line.split() for line in _slurm("sinfo", "--Node", "--noheader", "--format=%N %T").splitlines())
    for name, state in states.items():
        if state.startswith(("down", "drain")):
            set_node(name, "resume")
    for port in _ports(path).values():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
    return all(state in {"idle", "mixed", "allocated", "completing"} for state in states.values())


def _slurm(*command: str) -> str:
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "SLURM_CONF": str(configuration()), "PATH": f"{os.environ['PATH']}:{PATH}"}


def _until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (holds := true()) and time.monotonic() < end:
        time.sleep(0.05)
    return holds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument("--nodes", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.what == "up":
        up(arguments.nodes)
        print(f"export SLURM_CONF={configuration()}")
    else:
        down()
