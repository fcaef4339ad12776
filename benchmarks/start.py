"""Start-up: the import in a fresh interpreter, and the first call of a kernel where its machine code is cached."""

import statistics
import subprocess
import sys
import time

from benchmarks.timing import Row, ratio

RUNS = 5
FIRST_CALL = """
import time
import numpy as np
from daskglass.kernels import structure
x, codes = np.random.default_rng(0).uniform(0, 9, (500, 3)).astype(np.float32), np.zeros(500, np.int8)
mu, G = np.linspace(0.4, 3.0, 27), np.empty((500, 1, 27), np.float32)
began = time.perf_counter()
structure.structure_functions(x, codes, codes == 0, np.full(3, 9.0), mu, 0.1, *structure.gaussian_expansion(0.1, 0.1), G)
print(time.perf_counter() - began)
"""


def interpreter(code: str) -> tuple[float, str]:
    """Seconds of a fresh interpreter, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


def rows() -> list[Row]:
    """Time both, after one run that fills caches."""
    interpreter(FIRST_CALL)
    bare = [interpreter("")[0] for _ in range(RUNS)]
    whole = [interpreter("import daskglass")[0] for _ in range(RUNS)]
    own = statistics.median(bare)
    imported = [seconds - own for seconds in whole]
    first = [float(interpreter(FIRST_CALL)[1]) for _ in range(RUNS)]
    return [
        ratio("import daskglass", imported, "allowed", [1.0], 1),
        ratio("first call of a kernel, its machine code cached", first, "allowed", [2.0], 1),
    ]


if __name__ == "__main__":
    rows()
