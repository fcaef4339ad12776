"""What a profile comes to: the arguments of a dask-jobqueue cluster, and the script its batch system is given."""

from __future__ import annotations

import inspect
import math
import os
import re
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from daskglass.errors import StudyError
from daskglass.registry import BATCH_SYSTEMS, load

THREADS = "threads"  # resource of a worker process whose cores a simulation may use
NO_CLUSTER = "none"  # in place of a profile: tasks run in the process itself
LOOPBACK = "127.0.0.1"
WORKER = "daskglass.cluster.servers.PrivateWorker"
DEPRECATED = {
    "extra": "worker_extra_args",
    "job_extra": "job_extra_directives",
    "env_extra": "job_script_prologue",
    "header_skip": "job_directives_skip",
}
# Dask has glibc give back all freed memory at once: kernels would pay for the pages of their results again and again
MALLOC = {"MALLOC_TRIM_THRESHOLD_": 2**26, "MALLOC_MMAP_THRESHOLD_": 2**25}
# the threads of a simulation wait for one another at every step: one that spins may hold the core which the other needs
ENVIRONMENT = MALLOC | {"OMP_WAIT_POLICY": "passive"}  # of workers
OPERATORS = ";&|<>()`"
_SECONDS = {"D": 86400, "H": 3600, "M": 60, "S": 1}
_BELOW = {"H": 24, "M": 60, "S": 60}


@dataclass(frozen=True)
class Profile:
    """One cluster of cluster.yaml, checked.

    Attributes
    ----------
    name : of the profile
    kind : `local`, `address`, `none`, or the batch system
    wait : for a first worker, s
    jobs : of the batch system, kept running; 0 where there is none
    workers : processes of a local cluster; None for one per core
    resources : of every worker process, such as one GPU
    address, tls_ca_file, tls_cert, tls_key : of a running scheduler
    options : keys of the dask-jobqueue cluster class, as given
    """

    name: str
    kind: str
    wait: float
    jobs: int = 0
    workers: int | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    address: str | None = None
    tls_ca_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def for_threads(profile: Profile, threads: int) -> Profile:
    """Give every worker process a core for each thread of a simulation, offered to Dask as its resource `threads`.

    Raises
    ------
    StudyError
        If a job, or this machine, has fewer.
    """
    if threads == 1 or profile.kind == "address":
        return profile
    asked = f"source.simulate.threads: {threads}"
    if profile.kind in ("local", NO_CLUSTER):
        cores = len(os.sched_getaffinity(0))
        workers = 1 if profile.kind == NO_CLUSTER else profile.workers or max(1, cores // threads)
        if workers * threads > cores:
            raise StudyError(f"{asked} for each of {workers} workers, but this machine has {cores} cores")
        return replace(profile, workers=workers, resources={**profile.resources, THREADS: threads})
    cores = profile.options["cores"]
    processes = profile.options.get("processes") or max(1, cores // threads)
    if processes * threads > cores:
        raise StudyError(
            f"cluster {profile.name!r}: {asked} for each of {processes} processes, but a job has {cores} cores"
        )
    options = {**profile.options, "processes": processes}
    return replace(profile, options=options, resources={**profile.resources, THREADS: threads})


def cluster_class(kind: str) -> type[Any]:
    """Return the class of dask-jobqueue that starts clusters of a batch system."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    found: type[Any] = load(BATCH_SYSTEMS[kind].place)
    # being imported, dask-jobqueue has Ctrl-C end the process as if all were done
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return found


def cluster_keys(kind: str) -> frozenset[str]:
    """Names of the arguments that this kind's cluster and job classes take, deprecated ones included."""
    cluster = cluster_class(kind)
    return _arguments(cluster) | _arguments(cluster.job_cls)


def _arguments(of: type[Any]) -> frozenset[str]:
    """Names of the arguments that a class hands up, class by class, to those of dask-jobqueue, and uses."""
    own = [
        vars(base)["__init__"]
        for base in of.__mro__
        if "__init__" in vars(base) and any(parent.__module__.startswith("dask_jobqueue") for parent in base.__mro__)
    ]
    parameters = [parameter for function in own for parameter in inspect.signature(function).parameters.values()]
    return frozenset(p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD) - {"self"}


def deprecated_keys(kind: str) -> dict[str, str]:
    """Return arguments that dask-jobqueue still takes, each with the name that took its place."""
    return DEPRECATED | ({"project": "account"} if "account" in cluster_keys(kind) else {})


def walltime_seconds(kind: str, text: str) -> int:
    """Read a walltime, in s, as the batch system itself would read it.

    Raises
    ------
    StudyError
        If it is in none of the formats of that batch system, or is no time at all.
    """
    walltimes = BATCH_SYSTEMS[kind].walltimes
    for form in walltimes:
        found = re.fullmatch(re.sub("[DHMS]", "([0-9]{1,9})", form), text)
        if found is None:
            continue
        units = re.findall("[DHMS]", form)
        numbers = [int(number) for number in found.groups()]
        seconds = sum(number * _SECONDS[unit] for number, unit in zip(numbers, units, strict=True))
        if seconds and all(number < _BELOW[unit] for number, unit in zip(numbers[1:], units[1:], strict=True)):
            return seconds
    forms = ", ".join(re.sub("[HMS]", lambda unit: 2 * unit.group(), form) for form in walltimes)
    raise StudyError(f"{text!r} is not a walltime of {kind}; write it as one of {forms}")


def job_options(profile: Profile) -> dict[str, Any]:
    """Complete arguments of the dask-jobqueue cluster class: what the profile says, and what it leaves to daskglass.

    Every worker process runs one task at a time, serves no HTTP, spills into a folder of its user alone, and leaves before
    the walltime, so that it hands on its results and is replaced; the workers of a job, and jobs that began together, leave
    at different times. With m the smaller of an eighth of the walltime and 5 min, they leave between m and 3 m before it.
    Lines of shell, of the profile or of Dask's configuration, come after the exports of daskglass, and can overrule them.

    Raises
    ------
    StudyError
        If the walltime cannot be read.
    """
    given = dict(profile.options)
    arguments = ["--nthreads", "1", "--worker-class", WORKER, "--no-dashboard"]
    if profile.resources:
        arguments += ["--resources", ",".join(f"{name}={number}" for name, number in profile.resources.items())]
    own = given.get("worker_extra_args", [])
    if BATCH_SYSTEMS[profile.kind].walltimes and "--lifetime" not in words(own):
        walltime = walltime_seconds(profile.kind, given["walltime"])
        margin = min(walltime // 8, 300)
        arguments += ["--lifetime", f"{walltime - 2 * margin}s", "--lifetime-stagger", f"{margin}s"]
    scheduler = {"dashboard_address": f"{LOOPBACK}:0"} | given.get("scheduler_options", {})
    if "host" not in scheduler:
        scheduler = {"interface": given["interface"]} | scheduler
    import dask

    # importing the class brings the defaults of the configuration with it
    configured = f"jobqueue.{cluster_class(profile.kind).job_cls.config_name}"
    shell = given.get("job_script_prologue")
    if shell is None:
        shell = dask.config.get(f"{configured}.job-script-prologue")
    # dask-jobqueue would look at the old name only if there were no lines at all
    shell = shell or dask.config.get(f"{configured}.env-extra", None) or []
    # what follows becomes part of a line of shell
    given["python"] = command(given.get("python", shlex.quote(sys.executable)))
    exports = [f"export {name}={value}" for name, value in ENVIRONMENT.items()]
    parent = given.get("local_directory") or dask.config.get(f"{configured}.local-directory", None)
    return (
        {"processes": given["cores"]}
        | given
        | {
            "worker_extra_args": [*arguments, *map(shlex.quote, shell_words(own))],
            "scheduler_options": scheduler,
            "job_script_prologue": [*exports, *shell, *_scratch(parent or "${TMPDIR:-/tmp}")],
            "local_directory": '"$scratch"',
        }
    )


def _scratch(parent: str) -> list[str]:
    """Lines of shell that make `private_folder` in a folder of the node; `~` and variables are those of the node.

    Python imports what lies there, and where others may write, somebody may have made a folder of that name before.
    """
    quoted = re.sub(r'(["`\\]|\$(?!\w|\{\w+(?::-[\w/.-]*)?\}))', r"\\\1", re.sub("^~(?=/|$)", "$HOME", parent))
    return [
        f'parent="{quoted}"',
        'scratch="$parent/daskglass-$(id -u)"',
        'mkdir -p -- "$parent" && mkdir -m 700 -- "$scratch" 2>/dev/null || true',
        '[ -O "$scratch" ] && [ ! -L "$scratch" ] || scratch=$(mktemp -d -- "$parent/daskglass-XXXXXX")',
    ]


def lifetime_seconds(profile: Profile) -> float:
    """Seconds after which the first workers of a job leave; infinite where none need to."""
    from dask.utils import parse_timedelta

    given = words(job_options(profile)["worker_extra_args"])
    if "--lifetime" not in given:
        return math.inf
    stagger = given[given.index("--lifetime-stagger") + 1] if "--lifetime-stagger" in given else 0
    return float(parse_timedelta(given[given.index("--lifetime") + 1]) - parse_timedelta(stagger))


def words(arguments: list[Any]) -> list[str]:
    """Split arguments of a worker into words as its command line will, option and value apart."""
    return [part for word in shell_words(arguments) for part in (word.split("=", 1) if word[:2] == "--" else [word])]


def shell_words(arguments: list[Any]) -> list[str]:
    """Split arguments into words as a shell would, but for variables and wildcards, which stand for themselves.

    Raises
    ------
    StudyError
        If a quote is not closed, or a character would have the shell do something else than start a worker.
    """
    return [word for argument in arguments for word in _words(str(argument))]


def command(text: str) -> str:
    """Write a command for a shell: the path of a program, blanks included, or words such as `apptainer exec x.sif python`.

    Raises
    ------
    StudyError
        As `shell_words`.
    """
    return shlex.quote(text) if os.path.isfile(text) else shlex.join(_words(text))


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        found = list(lexer)
    except ValueError as error:
        raise StudyError(f"{text!r}: {error}") from None
    if any(set(word) <= set(OPERATORS) for word in found if word):
        raise StudyError(
            f"{text!r}: {' '.join(OPERATORS)} are shell syntax; quote them, or write a line of job_script_prologue"
        )
    return found


def check_plain(path: str | Path) -> None:
    """Refuse a path of which batch systems make what they like: it stands in a directive, for which quotes differ.

    Raises
    ------
    StudyError
        If it begins as an option does, or there is more in it than letters, digits and a few characters that mean
        nothing to any of them.
    """
    if str(path).startswith("-"):
        raise StudyError(f"{str(path)!r}: the batch system would read it as an option; do not begin it with -")
    if "%" in str(path) or shlex.quote(str(path)) != str(path):
        raise StudyError(f"{str(path)!r} goes into the job script; use only letters, digits and _ @ + = : , . / -")


def job_script(profile: Profile, **added: Any) -> str:
    """Return the script that the batch system is given for a job; nothing is started.

    Parameters
    ----------
    profile : of a batch system
    added : arguments of the cluster class beyond the profile's, such as log_directory, which is created

    Raises
    ------
    StudyError
        If dask-jobqueue refuses the profile, with its reason.
    """
    job = cluster_class(profile.kind).job_cls
    arguments = job_options(profile) | added | {"scheduler": "tls://SCHEDULER:8786", "name": "WORKER"}
    try:
        return job(**{name: value for name, value in arguments.items() if name in _arguments(job)}).job_script()
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise StudyError(
            f"cluster {profile.name!r}: dask-jobqueue rejects the profile: {type(error).__name__}: {error}"
        ) from error
