"""A process that outlives the one it guards, however that ends: it cancels jobs and removes keys that were left.

Run as `python -m daskglass.cluster.guardian FOLDER COMMAND...`, it reads from its standard input the numbers of jobs, `+` before
each that was submitted and `-` before each that was cancelled, until the process that writes there closes it or dies.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

Jobs = dict[str, None]


@contextmanager
def guarded(folder: Path, cancel: Sequence[str]) -> Iterator[Callable[[str], None]]:
    """Have a folder removed, and jobs cancelled, when this ends or when this process dies.

    Parameters
    ----------
    folder : to remove
    cancel : command that cancels the job whose number is appended

    Yields
    ------
    A function that takes "+" and the number of a job that was submitted, or "-" and of one that was cancelled.
    """
    # signals are not for it, not even before it has begun: who stops a service or a job sends them to all its processes
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
    jobs: Jobs = {}

    def tell(line: str) -> None:
        _note(jobs, line)
        # without a guardian it is this process that cleans up
        with suppress(BrokenPipeError):
            stdin.write(f"{line}\n")
            stdin.flush()

    try:
        yield tell
    finally:
        with suppress(BrokenPipeError):
            stdin.close()
        if guardian.wait() != 0:
            _clean_up(folder, cancel, jobs)


def main(folder: str, *cancel: str) -> None:
    """Wait for the end, then clean up."""
    jobs: Jobs = {}
    for line in sys.stdin:
        _note(jobs, line)
    _clean_up(Path(folder), cancel, jobs)


def _note(jobs: Jobs, line: str) -> None:
    sign, job = line[0], line[1:].strip()
    if sign == "+":
        jobs[job] = None
    else:
        jobs.pop(job, None)


def _clean_up(folder: Path, cancel: Sequence[str], jobs: Jobs) -> None:
    # keys first: whoever finds them can join
    shutil.rmtree(folder, ignore_errors=True)
    for job in jobs:
        subprocess.run([*cancel, job], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main(*sys.argv[1:])
