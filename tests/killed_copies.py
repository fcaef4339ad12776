"""Run second copies of the tasks of a finished study, and kill each at many places: the store must stay as it is.

    python -m tests.killed_copies STUDY.yaml PLACES

Prints what changed the store, one line each, and then how many copies were killed. Every copy is a process of its own,
forked before Zarr has threads, which kills itself before its n-th change of the file system.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def die_before(number: int) -> list[int]:
    """Kill this process before its n-th change of the file system; return a list that counts them."""
    count = [0]

    def look(event: str, arguments: tuple) -> None:
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    return count


def digest(path: Path) -> dict[str, str]:
    """Hash of every file of a store."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


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


def main(study: str, places: str) -> None:
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
    before = digest(path)
    killed = 0
    with folder_aside(path) as aside:

        def result(key: str) -> Result:
            task = tasks[key]
            needs = [result(need) for need in task.needs]
            return call(task.function, task.arguments, task.settings, needs, aside)

        def copy(key: str, needs: list[Result], number: int) -> int:
            count = die_before(number)
            call(tasks[key].function, tasks[key].arguments, tasks[key].settings, needs, aside)
            return count[0]

        for (name, _), task in kinds.items():
            needs = in_child(lambda task=task: [result(need) for need in task.needs])[1]
            status, changes = in_child(lambda task=task, needs=needs: copy(task.key, needs, 0))
            if status or digest(path) != before:
                print(f"{name}: a second copy that is not killed ends with {status} or changes the store")
                continue
            numbers = sorted({1 + k * changes // int(places) for k in range(int(places))})
            for number in numbers:
                status, _ = in_child(lambda task=task, needs=needs, number=number: copy(task.key, needs, number))
                killed += status == signal.SIGKILL
                now = digest(path)
                changed = sorted(file for file in {*before, *now} if before.get(file) != now.get(file))
                if changed or status != signal.SIGKILL:
                    print(f"{name}: killed before change {number} of {changes}: status {status}, changed {changed[:3]}")
    print(f"{killed} copies of {len(kinds)} kinds of tasks killed")


if __name__ == "__main__":
    main(*sys.argv[1:])
