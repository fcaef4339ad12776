"""The command that starts the cluster of a profile."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from daskglass.cli.options import Debug
from daskglass.cli.session import announce
from daskglass.cli.tables import note, say
from daskglass.errors import StudyError
from daskglass.registry import BATCH_SYSTEMS, listed


def cluster(
    name: Annotated[
        str,
        typer.Argument(
            help=f"profile of cluster.yaml, of type local, address, {listed(BATCH_SYSTEMS)}", show_default=False
        ),
    ],
    job_script: Annotated[bool, typer.Option("--job-script", help="print the job script; start nothing")] = False,
    debug: Debug = False,
) -> None:
    """Start the cluster of a profile, until Ctrl-C, to test the profile."""
    from daskglass.cluster.connect import connect
    from daskglass.cluster.job_script import NO_CLUSTER
    from daskglass.cluster.job_script import job_script as script_of
    from daskglass.cluster.profiles import load_profile

    profile = load_profile(name)
    if job_script and profile.kind not in BATCH_SYSTEMS:
        raise StudyError(f"cluster {name!r} has type {profile.kind}, which has no job script")
    if profile.kind == NO_CLUSTER:
        raise StudyError(f"cluster {name!r} is no cluster: there is nothing to start")
    if profile.kind in BATCH_SYSTEMS:
        say(script_of(profile))
    if job_script:
        return
    # a name per process: there is no lock here
    with connect(profile, Path(f"daskglass.{os.getpid()}"), note) as connection, suppress(KeyboardInterrupt):
        announce(connection, quiet=False)
        workers = 0
        while True:
            connection.check()
            if (now := len(connection.client.nthreads())) != workers:
                workers = now
                say(f"{workers} workers")
            time.sleep(1)
