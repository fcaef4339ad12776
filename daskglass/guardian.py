"""A process that outlives the one it guards, however that ends: it cancels jobs and removes keys that were left.

Run as `python -m daskglass.guardian FOLDER COMMAND...`, it reads from its standard input the numbers of jobs, `+` before
each that was submitted and `-` before each that was cancelled, until the process that writes there closes it or dies.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


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
    guardian = subprocess.Popen(
        [sys.executable, "-m", "daskglass.guardian", str(folder), *cancel],
        stdin=subprocess.PIPE,
        text=True,
        # signals of the terminal are not for it
        start_new_session=True,
    )
    assert guardian.stdin is not None
    stdin = guardian.stdin

    def tell(line: str) -> None:
        stdin.write(f"{line}\n")
        stdin.flush()

    try:
        yield tell
    finally:
        stdin.close()
        guardian.wait()


def main(folder: str, *cancel: str) -> None:
    """Wait for the end, then clean up."""
    jobs: dict[str, None] = {}
    for line in sys.stdin:
        sign, job = line[0], line[1:].strip()
        if sign == "+":
            jobs[job] = None
        else:
            jobs.pop(job, None)
    # keys first: whoever finds them can join
    shutil.rmtree(folder, ignore_errors=True)
    for job in jobs:
        subprocess.run([*cancel, job], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main(*sys.argv[1:])
