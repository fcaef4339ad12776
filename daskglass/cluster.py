"""Where a study runs: a Dask cluster by the name of a profile."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster

from daskglass.errors import StudyError

LOOPBACK = "127.0.0.1"


@contextmanager
def connect(name: str) -> Iterator[Client]:
    """Start the cluster of a profile, and stop it in the end.

    `local`: one process with one thread per core, everything bound to loopback.

    Raises
    ------
    StudyError
        For an unknown profile.
    """
    if name != "local":
        raise StudyError(f"unknown cluster {name!r}: this version knows `local`")
    with _workers_ignore_interrupts():
        cluster = LocalCluster(
            n_workers=len(os.sched_getaffinity(0)),
            threads_per_worker=1,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            # a task's error comes back with its future, and is told once
            silence_logs=logging.CRITICAL,
        )
    with cluster, Client(cluster) as client:
        yield client


@contextmanager
def _workers_ignore_interrupts() -> Iterator[None]:
    """Let processes started meanwhile ignore Ctrl-C, which a terminal sends to all: this one stops them in order."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
