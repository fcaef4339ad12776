"""Run second copies of the tasks of a finished study, and kill some: at no moment may the store be other than it was.

    python -m tests.killed_copies STUDY.yaml KILLS

Prints what changed the store, one line each, and then how many changes of the file system and killed copies there were.
Every copy is a process of its own, forked before Zarr has threads. One of each kind of task waits before each of its changes
of the file system until the store is compared: what a copy killed there would leave. KILLS others kill themselves at places
spread over these, and what they leave lies in the way of those that follow.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daskglass.pipeline.tasks import Task

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def before_each_change(act: Callable[[int], object]) -> None:
    """Have this process call a function with the number of each change of the file system before it, one at a time."""
    numbers, one = itertools.count(1), threading.Lock()

    def look(event: str, arguments: tuple) -> None:
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
            with one:
                act(next(numbers))

    sys.addaudithook(look)


class Contents:
    """Hashes of the files of a store; only what was touched since is read again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}

    def now(self) -> dict[str, str]:
        """Hash of every file."""
        found = {}
        for folder, _, names in os.walk(self.path):
            for file in (f"{folder}/{name}" for name in names):
                status = os.stat(file)
                state = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
                if file not in self._known or self._known[file][0] != state:
                    self._known[file] = state, hashlib.sha256(Path(file).read_bytes()).hexdigest()
                found[file] = self._known[file][1]
        return found


def in_child(function: Callable[[], object]) -> tuple[int, object]:
    """Exit status and result of a function in a forked process."""
    with tempfile.TemporaryFile() as pipe:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                pipe.write(pickle.dumps(function()))
                pipe.flush()
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        pipe.seek(0)
        data = pipe.read()
    return status, pickle.loads(data) if data else None


def in_watched_child(function: Callable[[], object], look: Callable[[], None]) -> int:
    """Exit status of a function in a forked process, which waits before each change of the file system for `look`."""
    (asked, ask), (answered, answer) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            before_each_change(lambda number: (os.write(ask, b"?"), os.read(answered, 1)))
            function()
            status = 0
        finally:
            os._exit(status)
    os.close(ask)
    while os.read(asked, 1):
        look()
        os.write(answer, b"!")
    for end in (asked, answered, answer):
        os.close(end)
    return os.waitpid(child, 0)[1]


def main(study: str, kills: int) -> None:
    """Do it for one task of each function and kind of variables."""
    from daskglass.pipeline.dispatch import Result, call
    from daskglass.pipeline.run import study_tasks
    from daskglass.store.aside import folder_aside
    from daskglass.study.load import load_study

    given = load_study(study)
    path = Path(given.store)
    # it reads the store, and Zarr's threads with it must not be forked
    tasks = {task.key: task for task in in_child(lambda: study_tasks(given))[1]}
    writing = [task for task in tasks.values() if task.inputs is not None]
    kinds = {(task.function.__name__, task.owns and task.owns[0].names): task for task in writing}
    contents = Contents(path)
    before = contents.now()

    def compare(where: str) -> None:
        now = contents.now()
        changed = sorted(file for file in {*before, *now} if before.get(file) != now.get(file))
        if changed:
            print(f"{where}: changed {changed[:3]}")

    with folder_aside(path) as aside:

        def result(key: str) -> Result:
            task = tasks[key]
            needs = [result(need) for need in task.needs]
            return call(task.function, task.arguments, task.settings, needs, aside)

        def disturb(name: str, task: Task) -> tuple[int, int]:
            """Run copies of a task; return how many changes there were, and how many copies were killed."""
            needs = in_child(lambda: [result(need) for need in task.needs])[1]
            looks = itertools.count(1)

            def copy() -> None:
                call(task.function, task.arguments, task.settings, needs, aside)

            def copy_killed(place: int) -> None:
                before_each_change(lambda number: number == place and os.kill(os.getpid(), signal.SIGKILL))
                copy()

            status = in_watched_child(copy, lambda: compare(f"{name}: before change {next(looks)}"))
            changes = next(looks) - 1
            compare(f"{name}: after a whole copy")
            if status:
                print(f"{name}: a copy that is not killed ends with {status}")
            places = sorted({1 + k * changes // kills for k in range(kills)})
            for place in places:
                status, _ = in_child(lambda place=place: copy_killed(place))
                if status != signal.SIGKILL:
                    print(f"{name}: not killed before change {place} of {changes}: status {status}")
                compare(f"{name}: killed before change {place} of {changes}")
            return changes, len(places)

        counts = [disturb(name, task) for (name, _), task in kinds.items()]
    looked, killed = map(sum, zip(*counts, strict=True))
    print(f"{looked} changes, and {killed} copies of {len(kinds)} kinds of tasks killed")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
