"""Machine code that is kept between runs: it is that of these kernels, and nobody else's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import daskglass

SPREAD = """
import numpy as np
from daskglass.kernels.radial import pair_histogram
x = np.array([[1.0, 1.0, 1.0], [2.5, 1.0, 1.0]], np.float32)
counts = np.zeros((1, 1, 4), np.int64)
pair_histogram(x, np.zeros(2, np.int8), np.zeros(2, np.int64), np.full(3, 9.0), 4.0, counts)
print(counts.ravel().tolist())
"""


@pytest.fixture
def package(tmp_path):
    """Copy of the package, and a way to run Python with it and with a folder of its own for what is temporary."""
    folder = tmp_path / "copy"
    shutil.copytree(Path(daskglass.__file__).parent, folder / "daskglass", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tmp").mkdir()

    def run(code):
        environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
        environment |= {"PYTHONPATH": str(folder), "TMPDIR": str(tmp_path / "tmp")}
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=environment
        )

    return folder / "daskglass", run


def test_an_edit_of_one_kernel_reaches_those_that_call_it(package):
    folder, run = package
    assert run(SPREAD).stdout == "[0, 2, 0, 0]\n"
    cells = folder / "kernels/cells.py"
    cells.write_text(cells.read_text().replace("r2[j] = dx * dx", "r2[j] = 3.0 * dx * dx"))
    assert run(SPREAD).stdout == "[0, 0, 2, 0]\n"


def test_it_lies_in_a_folder_of_the_user_alone_and_is_found_again(package, tmp_path):
    folder, run = package
    run(SPREAD)
    own = tmp_path / f"tmp/daskglass-{os.getuid()}"
    assert own.stat().st_mode & 0o777 == 0o700
    kept = {file: file.stat().st_mtime_ns for file in own.rglob("*.nbc")}
    assert kept
    run(SPREAD)
    assert {file: file.stat().st_mtime_ns for file in own.rglob("*.nbc")} == kept
    assert not list(folder.rglob("*.nbc"))


def test_a_folder_that_others_may_write_to_is_not_used(package, tmp_path):
    _, run = package
    own = tmp_path / f"tmp/daskglass-{os.getuid()}"
    own.mkdir()
    own.chmod(0o777)
    done = run(SPREAD)
    assert f"{own}: others may write there" in done.stderr
    assert not list(own.rglob("*"))
