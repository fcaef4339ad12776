"""A study small enough to run in a test, and ways to run it."""

import io
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
from distributed import Client

from daskglass.cli import main
from daskglass.pipeline import run as pipeline
from daskglass.pipeline.dispatch import Start
from daskglass.pipeline.here import Here
from daskglass.pipeline.on_dask import OnDask
from daskglass.study.load import load_study

TINY = """\
study: tiny
store: tiny.zarr
systems:
  - {system: ka_0.0, particles: 432, temperatures: [1.0, 0.8], replicas: 2}
source:
  simulate:
    engine: lammps
    timestep: 0.004
    equilibration: {minimum: 5, relaxation_times: [1, 1]}
    production: {frames: 21, interval: 1.0}
    training: {frames: 41, interval: 1.0, temperature: 0.8}
    relaxation: {origins: 2, points: 16, longest: 5}
inherent: {engine: native}
hops: {window: 10.0, hard: 0.08, hard_separation: 20.0}
softness: {train_on: {run: training, temperature: 0.8}, samples_per_class: 500}
radial: {r_max: 3.5, bin_width: 0.05, softness_bins: 4}
strata: {bins: 3}
barriers: {resamples: 20}
"""

# one to disturb: less of everything, but each stage
BRIEF = (
    TINY.replace("study: tiny", "study: brief")
    .replace("tiny.zarr", "brief.zarr")
    .replace("replicas: 2", "replicas: 1")
    .replace("frames: 41", "frames: 31")
)

# the analysis of the files that TINY leaves behind, thermal
FILES = """\
study: files
store: files.zarr
systems:
  - {system: ka_0.0, temperatures: [1.0, 0.8], replicas: 2}
source:
  trajectories: {path: "$TINY/ka_0.0/r{replica}/T{temperature:g}/production.gsd", timestep: 0.004}
inherent: none
hops: {window: 10.0, soft: 0.1, hard: 0.08, hard_separation: 10.0}
softness: {train_on: {run: production, temperature: 0.8}, samples_per_class: 500}
radial: {r_max: 3.5, bin_width: 0.05, softness_bins: 4}
strata: {bins: 3}
barriers: {resamples: 20}
"""


def command(*arguments: str | Path, folder: Path, timeout: float = 600, **options) -> subprocess.CompletedProcess:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "daskglass", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=timeout, **options,
    )  # fmt: skip


@contextmanager
def started(*arguments: str | Path, **options) -> Iterator[subprocess.Popen]:
    """Process of Python that is gone afterwards, however the test ends: a test that waits for ever does not say what failed."""
    with subprocess.Popen([sys.executable, *map(str, arguments)], **options) as process:
        try:
            yield process
        finally:
            process.kill()


def command_here(
    *arguments: str | Path, folder: Path, env: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Call the command line within this process, which saves the second of a start: for all that is not about processes."""
    printed, said, status = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        mock.patch.dict(os.environ, dict(env), clear=True),
        warnings.catch_warnings(),
        redirect_stdout(printed),
        redirect_stderr(said),
    ):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["daskglass", *map(str, arguments)])
        # the filters that Python starts with
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        handler = signal.getsignal(signal.SIGTERM)
        try:
            main()
        except SystemExit as end:
            status = end.code
        finally:
            signal.signal(signal.SIGTERM, handler)
    return subprocess.CompletedProcess([*arguments], status, printed.getvalue(), said.getvalue())


def on(client: Client, **options) -> Start:
    """Have work done by the workers of a client."""
    return lambda seconds: OnDask(client, **options)


def run_here(
    folder: Path, monkeypatch, text: str = FILES, workers: int = 0, stage: str | None = None
) -> pipeline.Outcome:
    """Run a study, or a stage of it, within this process, with so many threads as workers if any, and draw nothing."""
    monkeypatch.chdir(folder)
    path = folder / "study.yaml"
    path.write_text(text)
    study = load_study(path)
    if not workers:
        return pipeline.run(study, lambda seconds: Here(), draw=lambda plans, tasks: [], stage=stage)
    with Client(n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        return pipeline.run(study, on(client), draw=lambda plans, tasks: [], stage=stage)
