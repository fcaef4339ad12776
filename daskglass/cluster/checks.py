"""Checks of a profile of cluster.yaml, before anything starts."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dask.utils import parse_bytes, parse_timedelta

from daskglass.cluster.job_script import (
    check_plain,
    cluster_keys,
    command,
    deprecated_keys,
    shell_words,
    walltime_seconds,
    words,
)
from daskglass.errors import StudyError
from daskglass.registry import BATCH_SYSTEMS
from daskglass.study.paths import check_no_address, expand_path, expand_variables

MOST = 1_000_000  # jobs, cores, processes: no batch system has more
LARGEST_SIZE = 2**60  # bytes of a job
LONGEST = 1e9  # s to wait
CERTIFICATES = ("tls_ca_file", "tls_cert", "tls_key")
DIRECTORIES = ("log_directory", "shared_temp_directory")
MAY_BE_NUMBERS = ("queue", "account", "project")
IN_DIRECTIVES = (*DIRECTORIES, "job_name", "interface", *MAY_BE_NUMBERS)  # not quoted by dask-jobqueue
OWN = {
    "local": ("type", "wait", "workers"),
    "address": ("type", "wait", "address", *CERTIFICATES),
}  # keys of a profile that are daskglass's, by type
OWN_OF_BATCH_SYSTEMS = ("type", "wait", "jobs", "resources")
REQUIRED = {
    "jobs": "give the number of jobs to keep running, such as 10",
    "cores": "give the cores of a job, such as 16",
    "memory": "give the memory of a job, such as 64GB",
    "interface": "give the network that the nodes share, such as ib0 (`ip -brief address` lists them); without it, ports would "
    "listen on all networks",
}
SET_BY_DASKGLASS = {
    "n_workers": "use `jobs`",
    "name": "use `job_name`",
    "config_name": "a profile is complete by itself",
    "dashboard_address": "put it under scheduler_options",
    "host": "put it under scheduler_options",
} | dict.fromkeys(
    ("scheduler", "job_cls", "scheduler_cls", "loop", "asynchronous", "silence_logs", "worker_command"),
    "daskglass sets it",
) | dict.fromkeys(("security", "protocol"), "daskglass sets it: all traffic between hosts is TLS")  # fmt: skip
ARGUMENTS_SET_BY_DASKGLASS = {
    "--nthreads": "workers run one task at a time; use `processes`",
    "--nworkers": "use `processes`",
    "--resources": "use `resources`",
    "--interface": "use `interface`",
    "--host": "use `interface`",
    "--listen-address": "use `interface`",
    "--contact-address": "use `interface`",
    "--no-nanny": "daskglass needs nannies to detect lost workers",
    "--lifetime-restart": "a restarted worker would run into the walltime",
    "--local-directory": "use `local_directory`",
    "--worker-class": "workers serve no HTTP",
    "--dashboard": "workers serve no HTTP",
    "--dashboard-address": "workers serve no HTTP",
} | dict.fromkeys(("--protocol", "--tls-ca-file", "--tls-cert", "--tls-key"), "all traffic between hosts is TLS")
SCHEDULER_OPTIONS = ("host", "interface", "port", "dashboard_address")
SHELL_LINES = "job_script_prologue"
Problem = tuple[tuple[int | str, ...], str]


def expand_value(key: str, value: Any) -> Any:
    """Expand `~` and variables of this machine in a value that may be a path.

    Raises
    ------
    StudyError
        If a variable is not set, a path is an address, or quotes do not match.
    """
    if key in (*CERTIFICATES, *DIRECTORIES):
        return expand_path(str(value))
    if key == "python":
        return expand_variables(str(value))
    if key == "worker_extra_args" and isinstance(value, list):
        return [shlex.quote(expand_variables(word)) for word in shell_words(value)]
    return value


def problems(given: Any) -> Iterator[Problem]:
    """Keys and message of each problem in a profile."""
    if not isinstance(given, dict):
        yield (), "a profile consists of keys such as type, queue, cores"
        return
    kind, kinds = given.get("type"), (*OWN, *BATCH_SYSTEMS)
    if kind is None:
        close = get_close_matches("type", map(str, given), 1)
        yield (
            ("type",),
            f"missing: give one of {', '.join(kinds)}" + (f"; rename {close[0]} to type?" if close else ""),
        )
        return
    if kind not in kinds:
        yield ("type",), f"{kind!r} is not a cluster type{_nearest(kind, kinds)}"
        return
    yield from _unknown_keys(kind, given)
    yield from _path_problems(kind, given)
    for key, check in CHECKS.items():
        message = check(given[key]) if given.get(key) is not None else None
        if message is not None:
            yield (key,), message
    if kind == "address":
        yield from _address_problems(given)
    if kind in BATCH_SYSTEMS:
        yield from _batch_problems(kind, given)


def _path_problems(kind: str, given: Mapping[Any, Any]) -> Iterator[Problem]:
    """Problems of paths, and of words that become part of a job script."""
    system = BATCH_SYSTEMS.get(kind)
    for key in (*CERTIFICATES, "local_directory", "python", "worker_extra_args", *IN_DIRECTIVES):
        value = given.get(key)
        if value is None or (key in MAY_BE_NUMBERS and isinstance(value, int) and not isinstance(value, bool)):
            continue
        if key != "worker_extra_args" and not (isinstance(value, str) and value):
            yield (key,), f"must be text; got {value!r}"
            continue
        try:
            expanded = expand_value(key, value)
            if key == "local_directory":
                # the nodes expand it, but do not support addresses either
                check_no_address(expanded)
            if key in IN_DIRECTIVES:
                check_plain(expanded)
            if key == "python":
                expanded = command(expanded)
            if system is not None and system.described and "$(" in str(expanded):
                yield (key,), f"$( begins an {system.about} macro; got {value!r}"
        except StudyError as error:
            node = "; if only the nodes have it, use it in a line of job_script_prologue"
            yield (key,), f"{error}{node * ('is not set' in str(error) and system is not None)}"


def _unknown_keys(kind: str, given: Mapping[Any, Any]) -> Iterator[Problem]:
    renamed, set_by_us, known = {}, {}, set(OWN.get(kind, OWN_OF_BATCH_SYSTEMS))
    if kind in BATCH_SYSTEMS:
        renamed = deprecated_keys(kind)
        set_by_us = {key: why for key, why in SET_BY_DASKGLASS.items() if key in cluster_keys(kind)}
        known |= cluster_keys(kind) - set(renamed) - set(set_by_us)
    for key in given:
        if key in renamed:
            yield (key,), f"deprecated; use {renamed[key]}"
        elif key in set_by_us:
            yield (key,), f"not allowed in a profile: {set_by_us[key]}"
        elif key not in known:
            yield (key,), f"unknown key{_nearest(key, known)}"


def _nearest(word: Any, known: Iterable[str]) -> str:
    nearest = get_close_matches(str(word), known, 1)
    return f"; did you mean {nearest[0]}?" if nearest else f"; the known ones are {', '.join(sorted(known))}"


def _whole(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST:
        return None
    return f"must be a whole number from 1 to {MOST:,}; got {value!r}"


def _size(value: Any) -> str | None:
    # a bare number would be bytes
    try:
        valid = isinstance(value, str) and value[-1:].isalpha() and 0 < parse_bytes(value) < LARGEST_SIZE
    except (OverflowError, ValueError):
        valid = False
    return None if valid else f"must be a size with its unit, such as 64GB; got {value!r}"


def _duration(value: Any) -> str | None:
    try:
        number = isinstance(value, str | int | float) and not isinstance(value, bool)
        valid = number and 0 < parse_timedelta(value) < LONGEST
    except (KeyError, OverflowError, ValueError):
        valid = False
    return None if valid else f"must be a time such as 24h, 30min or 90s; got {value!r}"


def _resources(value: Any) -> str | None:
    if isinstance(value, dict) and list(value) == ["GPU"]:
        return _whole(value["GPU"])
    return f"must be {{GPU: 1}}, the only resource that tasks use; got {value!r}"


def _list(value: Any) -> str | None:
    plain = isinstance(value, list) and all(
        isinstance(item, str | int | float) and not isinstance(item, bool) for item in value
    )
    return None if plain else f"must be a list of words or numbers, such as [--death-timeout, 5min]; got {value!r}"


def _true(value: Any) -> str | None:
    return None if value is True else "must be true: daskglass needs nannies to detect lost workers"


CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "wait": _duration,
    "death_timeout": _duration,
    "workers": _whole,
    "jobs": _whole,
    "cores": _whole,
    "processes": _whole,
    "memory": _size,
    "disk": _size,
    "resources": _resources,
    "nanny": _true,
    "worker_extra_args": _list,
    "job_directives_skip": _list,
    "submit_command_extra": _list,
    "cancel_command_extra": _list,
    SHELL_LINES: _list,
}


def _batch_problems(kind: str, given: Mapping[Any, Any]) -> Iterator[Problem]:
    system = BATCH_SYSTEMS[kind]
    walltime = f"give the time limit of a job, in quotes, in a format of {kind}"
    required = REQUIRED | ({"walltime": walltime} if system.walltimes else {}) | dict(system.required)
    for key, remedy in required.items():
        if given.get(key) is None:
            yield (key,), f"missing: {remedy}"
    if given.get("resources") is not None and given.get("processes") is None:
        yield (
            ("resources",),
            "these are per process: set `processes` to the number that share the job's GPUs, such as 1",
        )
    if given.get("walltime") is not None and system.walltimes:
        yield from _walltime_problems(kind, given["walltime"])
    if given.get("job_extra_directives") is not None:
        yield from _directive_problems(kind, given["job_extra_directives"])
    for keys, text in _texts(given):
        # these lines go into a shell script unchanged; a description has only one line for them
        if not text.isprintable() and (keys[0] != SHELL_LINES or system.described):
            yield keys, f"contains line breaks or control characters, which would break the job script; got {text!r}"
    yield from _argument_problems(given.get("worker_extra_args"))
    yield from _lifetime_problems(kind, given)
    yield from _scheduler_problems(given.get("scheduler_options"))


def _walltime_problems(kind: str, walltime: Any) -> Iterator[Problem]:
    if not isinstance(walltime, str):
        yield (
            ("walltime",),
            f"must be in quotes: the unit of a bare number differs between batch systems; got {walltime!r}",
        )
        return
    try:
        walltime_seconds(kind, walltime)
    except StudyError as error:
        yield ("walltime",), str(error)


def _lifetime_problems(kind: str, given: Mapping[Any, Any]) -> Iterator[Problem]:
    """A lifetime beyond the walltime: the batch system would kill workers before they hand over their results."""
    arguments = _words_of(given.get("worker_extra_args"))
    if "--lifetime" not in arguments or not BATCH_SYSTEMS[kind].walltimes:
        return
    try:
        lifetime = parse_timedelta(arguments[arguments.index("--lifetime") + 1])
        walltime = walltime_seconds(kind, str(given.get("walltime")))
    except (IndexError, KeyError, OverflowError, ValueError):
        yield ("worker_extra_args",), "--lifetime needs a time, such as 3h"
    except StudyError:
        # reported under its own key
        return
    else:
        if lifetime >= walltime:
            yield ("worker_extra_args",), f"--lifetime {lifetime:g}s must be shorter than the walltime, {walltime} s"


def _directive_problems(kind: str, directives: Any) -> Iterator[Problem]:
    if BATCH_SYSTEMS[kind].described:
        if not isinstance(directives, dict):
            yield (
                ("job_extra_directives",),
                f"must be a mapping, such as {{accounting_group: glass}}; got {directives!r}",
            )
    elif (message := _list(directives)) is not None:
        yield ("job_extra_directives",), message


def _texts(value: Any, keys: tuple[int | str, ...] = ()) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """All texts in a profile, keys included, each with the keys that lead to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield keys or (key,), str(key)
            yield from _texts(item, (*keys, key))
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from _texts(item, (*keys, k))
    elif isinstance(value, str):
        yield keys, value


def _words_of(arguments: Any) -> list[str]:
    """Words of a worker's arguments; none if they are not a list or cannot be split, which is reported elsewhere."""
    try:
        return words(arguments) if isinstance(arguments, list) else []
    except StudyError:
        return []


def _argument_problems(arguments: Any) -> Iterator[Problem]:
    given = _words_of(arguments)
    for word in given:
        if word in ARGUMENTS_SET_BY_DASKGLASS:
            yield ("worker_extra_args",), f"{word} is set by daskglass: {ARGUMENTS_SET_BY_DASKGLASS[word]}"
    if "--lifetime-stagger" in given and "--lifetime" not in given:
        yield ("worker_extra_args",), "--lifetime-stagger needs --lifetime"


def _scheduler_problems(options: Any) -> Iterator[Problem]:
    if options is None:
        return
    if not isinstance(options, dict):
        yield ("scheduler_options",), f"must be a mapping, such as {{host: login1}}; got {options!r}"
        return
    for key in options:
        if key in ("security", "protocol"):
            yield ("scheduler_options", key), f"not allowed in a profile: {SET_BY_DASKGLASS[key]}"
        elif key not in SCHEDULER_OPTIONS:
            yield ("scheduler_options", key), f"unknown key{_nearest(key, SCHEDULER_OPTIONS)}"
    dashboard = options.get("dashboard_address", "127.0.0.1:0")
    if not _is_loopback(str(dashboard).rpartition(":")[0]):
        yield (
            ("scheduler_options", "dashboard_address"),
            f"must be on loopback, such as 127.0.0.1:8787: it is plain HTTP without login; got {dashboard!r}",
        )
    host = options.get("host", "login1")
    if not _is_one_host(host):
        yield ("scheduler_options", "host"), f"must be one address of this machine, not all of them; got {host!r}"
    interface = options.get("interface", "ib0")
    if not isinstance(interface, str) or not interface:
        yield ("scheduler_options", "interface"), f"must be one network of this machine, such as ib0; got {interface!r}"


def _is_one_host(host: Any) -> bool:
    """Whether this is the name of a host or a single address, not all addresses."""
    try:
        return not ipaddress.ip_address(str(host).strip("[]")).is_unspecified
    except ValueError:
        return isinstance(host, str) and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host) is not None


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def _address_problems(given: Mapping[Any, Any]) -> Iterator[Problem]:
    address = given.get("address")
    try:
        url = urlsplit(str(address))
        complete = url.scheme in ("tls", "tcp") and url.hostname and url.port
    except ValueError:
        complete = None
    if not complete:
        yield ("address",), f"must be the address of a scheduler, such as tls://host:8786; got {address!r}"
        return
    if url.scheme == "tcp":
        if not _is_loopback(url.hostname):
            yield ("address",), f"traffic between hosts must be TLS: use tls:// with certificates; got {address!r}"
        for key in CERTIFICATES:
            if given.get(key) is not None:
                yield (key,), "tcp:// uses no certificates; use tls://, or remove this key"
        return
    for key in CERTIFICATES:
        file = given.get(key)
        if file is None:
            yield (key,), f"missing: tls:// needs {', '.join(CERTIFICATES)}"
        elif not _can_be_read(file):
            yield (key,), f"not a readable file: {file!r}"


def _can_be_read(file: Any) -> bool:
    try:
        path = Path(expand_path(str(file)))
    except StudyError:
        # reported as a path
        return True
    return path.is_file() and os.access(path, os.R_OK)
