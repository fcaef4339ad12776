"""Machine code that is kept between runs: it is that of these kernels, and nobody else's."""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import daskglass

MEAN = """
import numpy as np
from daskglass.kernels.displacement import center_of_mass
mean = np.empty((1, 3))
center_of_mass(np.array([[[1.0, 0, 0], [3, 0, 0]]]), mean)
print(mean[0].tolist())
"""

CALLER = """
from daskglass.kernels.displacement import center_of_mass
from daskglass.kernels.flags import jit

@jit
def twice_the_center(positions, mean):
    center_of_mass(positions, mean)
    mean *= 2.0
"""


def copy_package(folder):
    """Copy the package into a folder, beside one for what is temporary."""
    made = folder / "copy" / "daskglass"
    shutil.copytree(Path(daskglass.__file__).parent, made, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tmp").mkdir()
    return made


def python(package, temporary, code, **variables):
    """Run Python with a copy of the package and a folder for what is temporary."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONPATH": str(package.parent), "TMPDIR": str(temporary), **variables}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=temporary, capture_output=True, text=True, check=True, env=environment
    )


@pytest.fixture
def package(tmp_path):
    """Copy of the package, and a way to run Python with it and with a folder of its own for what is temporary."""
    made = copy_package(tmp_path)
    return made, partial(python, made, tmp_path / "tmp")


@pytest.fixture(scope="module")
def kept_once(tmp_path_factory):
    """Copy of the package, and the folder where code was kept that one run of it compiled."""
    folder = tmp_path_factory.mktemp("kept")
    made = copy_package(folder)
    python(made, folder / "tmp", MEAN)
    return made, folder / "tmp"


@pytest.fixture
def kept(kept_once, tmp_path):
    """Run Python with that copy of the package and a copy of that folder."""
    made, temporary = kept_once
    shutil.copytree(temporary, tmp_path / "tmp")
    return partial(python, made, tmp_path / "tmp")


def test_an_edit_of_one_kernel_reaches_those_that_call_it(package):
    folder, run = package
    (folder / "kernels/caller.py").write_text(CALLER)
    code = MEAN.replace("displacement", "caller").replace("center_of_mass", "twice_the_center")
    assert run(code).stdout == "[4.0, 0.0, 0.0]\n"
    called = folder / "kernels/displacement.py"
    called.write_text(called.read_text().replace("sums[d::3].sum() / n", "sums[d::3].sum() / n + 1.0"))
    assert run(code).stdout == "[6.0, 2.0, 2.0]\n"


def test_it_lies_in_a_folder_of_the_user_alone_and_is_found_again(package, tmp_path):
    folder, run = package
    run(MEAN)
    own = tmp_path / f"tmp/daskglass-{os.getuid()}"
    assert own.stat().st_mode & 0o777 == 0o700
    kept = {file: file.stat().st_mtime_ns for file in own.rglob("*.nbc")}
    assert kept
    run(MEAN)
    assert {file: file.stat().st_mtime_ns for file in own.rglob("*.nbc")} == kept
    assert not list(folder.rglob("*.nbc"))


def test_a_folder_that_others_may_write_to_is_not_used(package, tmp_path):
    _, run = package
    own = tmp_path / f"tmp/daskglass-{os.getuid()}"
    own.mkdir()
    own.chmod(0o777)
    done = run(MEAN)
    assert f"{own}: others may write there" in done.stderr
    assert not list(own.rglob("*"))


def test_a_full_folder_stops_nothing_and_is_named_once(package, tmp_path):
    _, run = package
    # as if the disk were full: whatever is written to files of the cache fails
    full = """
import errno, numba.core.caching as caching
def full(self, path):
    raise OSError(errno.ENOSPC, "No space left on device")
caching.IndexDataCacheFile._open_for_write = full
"""
    done = run(full + MEAN)
    assert done.stdout == "[2.0, 0.0, 0.0]\n"
    assert done.stderr.count("No space left on device") == 1
    assert str(tmp_path / f"tmp/daskglass-{os.getuid()}") in done.stderr
    assert "NUMBA_CACHE_DIR" in done.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_to_stops_nothing(package, tmp_path):
    _, run = package
    (tmp_path / "tmp").chmod(0o500)
    done = run(MEAN)
    assert done.stdout == "[2.0, 0.0, 0.0]\n"
    assert "NUMBA_CACHE_DIR" in done.stderr


def test_a_place_that_is_no_folder_stops_nothing(package, tmp_path):
    _, run = package
    (tmp_path / f"tmp/daskglass-{os.getuid()}").touch()
    done = run(MEAN)
    assert done.stdout == "[2.0, 0.0, 0.0]\n"
    assert "NUMBA_CACHE_DIR" in done.stderr


@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("damage", ["cut", "empty", "zeros"])
def test_damaged_files_are_replaced_by_good_ones(kept, tmp_path, kind, damage):
    for file in (tmp_path / "tmp").rglob(kind):
        whole = file.read_bytes()
        file.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "zeros": bytes(len(whole))}[damage])
    damaged = kept(MEAN)
    assert damaged.stdout == "[2.0, 0.0, 0.0]\n"
    assert damaged.stderr.count("NUMBA_CACHE_DIR") == 1
    again = kept(MEAN)
    assert (again.stdout, again.stderr) == ("[2.0, 0.0, 0.0]\n", "")


def test_a_folder_whose_entries_others_could_replace_is_not_used(package, tmp_path):
    _, run = package
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    done = run(MEAN, NUMBA_CACHE_DIR=str(shared))
    assert f"{shared}: others may write there" in done.stderr
    assert not list(shared.rglob("*"))


def test_code_with_checks_of_bounds_is_kept_apart(kept, tmp_path):
    own = tmp_path / f"tmp/daskglass-{os.getuid()}"
    kept(MEAN, NUMBA_BOUNDSCHECK="1")
    assert len(list(own.iterdir())) == 2


PROCESSOR = "from daskglass.kernels.hop import hop_indicator as f; print(f.targetctx.codegen().magic_tuple()[1])"
GENERIC = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def test_processors_of_another_kind_do_not_share_code(kept, tmp_path):
    of_this_one = {*(tmp_path / "tmp").rglob("*.nbc")}
    own_name, generic_name = (kept(MEAN + PROCESSOR, **options).stdout.split()[-1] for options in ({}, GENERIC))
    assert own_name != generic_name == "generic"
    assert {*(tmp_path / "tmp").rglob("*.nbc")} > of_this_one


AGREE = """
import numpy as np, xarray as xr, daskglass as dg
rng = np.random.default_rng(0)
names = {"names": ["A", "B"]}
x = np.cumsum(rng.normal(0, 0.1, (21, 400, 3)), 0) + rng.random((400, 3)) * 7.2
x = xr.DataArray(x.astype("f4"), dims=("time", "particle", "xyz"), coords={"time": np.arange(21.0)})
species = xr.DataArray((np.arange(400) % 5 == 4).astype("i1"), dims="particle", attrs=names)
box = xr.DataArray([7.2, 7.2, 7.2], dims="xyz")
G = dg.structure_functions(x[:2], species, box)
for values in (dg.hop_indicator(x), G, dg.local_excess_entropy(G), dg.scattering_function(x, species)):
    print(values.values.astype("f8").tobytes().hex())
"""


def test_processors_of_another_kind_agree_to_1e_5(package, capsys):
    _, run = package
    # this process has the code of its own processor already
    exec(AGREE, {})
    own, generic = (text.split() for text in (capsys.readouterr().out, run(AGREE, **GENERIC).stdout))
    assert len(own) == 4
    for first, second in zip(own, generic, strict=True):
        first, second = (np.frombuffer(bytes.fromhex(text)) for text in (first, second))
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-7)
