"""A guardian process: when the run it guards ends or dies, it cancels the jobs and removes the keys that are left.

Run as `python -m daskglass.cluster.guardian FOLDER COMMAND...`; its standard input lists job numbers, with `+` for a submitted
job and `-` for a cancelled one, until the run closes it or dies.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def guarded(folder: Path, cancel: Sequence[str]) -> Iterator[Callable[[str], None]]:
    """Remove a folder and cancel jobs when this context ends or this process dies.

    Parameters
    ----------
    folder : to remove
    cancel : command that cancels a job; the job's number is appended

    Yields
    ------
    A function to report a submitted job, as "+" and its number, or a cancelled one, as "-" and its number.
    """
    # batch systems and service managers signal all processes of a job: the guardian must survive, even while it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
    try:
        guardian = subprocess.Popen(
            [sys.executable, "-m", "daskglass.cluster.guardian", str(folder), *cancel],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert guardian.stdin is not None
    stdin = guardian.stdin
    jobs: dict[str, None] = {}

    def report(line: str) -> None:
        _note(jobs, line)
        # without a guardian this process cleans up
        with suppress(BrokenPipeError):
            stdin.write(f"{line}\n")
            stdin.flush()

    try:
        yield report
    finally:
        with suppress(BrokenPipeError):
            stdin.close()
        if guardian.wait() != 0:
            _clean_up(folder, cancel, jobs)


def main(folder: str, *cancel: str) -> None:
    """Wait for the end, then clean up."""
    jobs: dict[str, None] = {}
    for line in sys.stdin:
        _note(jobs, line)
    _clean_up(Path(folder), cancel, jobs)


def _note(jobs: dict[str, None], line: str) -> None:
    sign, job = line[0], line[1:].strip()
    if sign == "+":
        jobs[job] = None
    else:
        jobs.pop(job, None)


def _clean_up(folder: Path, cancel: Sequence[str], jobs: dict[str, None]) -> None:
    # keys first: whoever finds them can join
    shutil.rmtree(folder, ignore_errors=True)
    for job in jobs:
        subprocess.run([*cancel, job], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main(*sys.argv[1:])
