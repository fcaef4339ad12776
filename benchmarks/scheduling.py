"""What a task costs beside its own work: tasks that sleep, through the loop that submits a study's tasks.

`python -m benchmarks.scheduling` prints seconds and memory per task for a thousand and ten thousand of them; with a number, for
so many alone. The scheduler lives in the process of the run, as it does with a batch system: its memory is in the numbers.
"""

import sys
import tempfile
import time
from pathlib import Path

import psutil
from distributed import Client

from benchmarks.conversion import workers
from benchmarks.timing import Row, ratio
from daskglass.pipeline.dispatch import work
from daskglass.pipeline.on_dask import OnDask
from daskglass.pipeline.tasks import FAN_IN, Task
from daskglass.store.aside import folder_aside
from daskglass.store.ledger import Ledger

SIZES = (10**3, 10**4)
NAP = 0.001  # s
INPUTS = {name: "0123456789abcdef" for name in ("precision", "species", "hops", "data")}
SAMPLE = 100  # tasks that write between two looks at the memory


def nap(*results: object) -> dict[str, int]:
    """Sleep for a while, and return a receipt."""
    time.sleep(NAP)
    return {"frames": 16}


def tasks_of(number: int) -> list[Task]:
    """Tasks as of a study: of each block one that writes, one after it, and a partial result; sums of those."""
    found: list[Task] = []
    blocks = number * FAN_IN // (3 * FAN_IN + 1)
    for k in range(blocks):
        what = f"ka_0.0/production/T0.5/r0/{FAN_IN * k}"
        found.append(Task("convert", "ka_0.0", f"convert-{what}", nap, (), inputs=dict(INPUTS)))
        found.append(Task("hops", "ka_0.0", f"hops-{what}", nap, (), after=(f"convert-{what}",), inputs=dict(INPUTS)))
        found.append(Task("entropy", "ka_0.0", f"entropy-{what}", nap, (), after=(f"convert-{what}",)))
    partial = [task.key for task in found if task.inputs is None]
    for k in range(0, blocks, FAN_IN):
        needs = tuple(partial[k : k + FAN_IN])
        found.append(Task("entropy", "ka_0.0", f"entropy-ka_0.0/sum/{k}", nap, (), needs=needs, inputs=dict(INPUTS)))
    return found


def measure(client: Client, folder: Path, number: int) -> float:
    """Print seconds and bytes per task; return the seconds."""
    resident = psutil.Process().memory_info
    before = resident().rss
    tasks = tasks_of(number)
    listed = largest = resident().rss
    written = 0

    def finished(task: Task) -> None:
        nonlocal largest, written
        written += 1
        if written % SAMPLE == 0:
            largest = max(largest, resident().rss)

    ledger = Ledger(folder / f"{number}.zarr")
    ledger.create()
    began = time.perf_counter()
    with folder_aside(ledger.store) as aside:
        outcome = work(OnDask(client), tasks, ledger, aside, finished)
    seconds = time.perf_counter() - began
    assert outcome.done == sum(task.inputs is not None for task in tasks), outcome.failures
    print(
        f"{len(tasks):7,} tasks: {seconds:6.1f} s, {1000 * seconds / len(tasks):.2f} ms a task; memory {before / 1e6:.0f} MB, "
        f"with their list {listed / 1e6:.0f} MB, at most {largest / 1e6:.0f} MB, "
        f"{(largest - before) / 1e3 / len(tasks):.1f} kB a task",
        flush=True,
    )
    return seconds / len(tasks)


def rows() -> list[Row]:
    """Compare the cost of a task among ten thousand with that of one among a thousand."""
    with tempfile.TemporaryDirectory() as folder, workers(2) as client:
        measure(client, Path(folder), 200)  # connections, threads, imports
        if sys.argv[1:] and sys.argv[1].isdigit():
            measure(client, Path(folder), int(sys.argv[1]))
            return []
        few, many = (measure(client, Path(folder), number) for number in SIZES)
    return [ratio(f"scheduling, a task of {SIZES[1]:,}", [many], f"one of {SIZES[0]:,}", [few])]


if __name__ == "__main__":
    rows()
