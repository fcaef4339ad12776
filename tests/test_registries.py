"""A reader, an engine, a batch system and a figure join by a file and a line, and are found wherever names are listed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import gsd.hoomd
import numpy as np
import pytest

from daskglass.cluster.connect import connect
from daskglass.cluster.job_script import job_script
from daskglass.cluster.profiles import load_profile
from daskglass.cluster.shipped import SHIPPED
from daskglass.engines import get_engine
from daskglass.engines.link import Duration, Link
from daskglass.engines.schedules import Uniform
from daskglass.engines.sweep import simulate
from daskglass.errors import StudyError
from daskglass.physics.systems import kob_andersen
from daskglass.plot import spheres
from daskglass.registry import (
    BATCH_SYSTEMS,
    ENGINES,
    FIGURES,
    READERS,
    TEMPLATES,
    BatchSystemEntry,
    EngineEntry,
    FigureEntry,
    ReaderEntry,
    Speed,
    listed,
    load,
    simulating,
)
from daskglass.report.figures import drawn
from daskglass.report.page import write_figure, write_page
from daskglass.report.results import read_results
from daskglass.store.blocks import open_store
from daskglass.study.load import load_study
from tests.report.synthetic import tree
from tests.trajectories.files import make_run

ROOT = Path(__file__).parents[1]
READER = ReaderEntry("tests.toys.reader", "NumPy archives of toys")
ENGINE = EngineEntry("tests.toys.engine:Toy", "no forces", {"steepest": 1, "fire": 1}, 100, Speed((1e9, 1e9), 1e9))
BATCH_SYSTEM = BatchSystemEntry("tests.toys.batch_system:ToyCluster", "Toy", "cat toy.log", walltimes=("M",))
FIGURE = FigureEntry("tests.toys.figure")

STUDY = """\
study: toy
store: toy.zarr
systems:
  - {system: ka_0.0, particles: 1200, temperatures: [1.0, 0.8]}
source: {simulate: {engine: toy}}
inherent: {engine: toy, minimizer: steepest}
"""


@pytest.fixture
def load_text(tmp_path):
    def loaded(text: str):
        (tmp_path / "study.yaml").write_text(text)
        return load_study(tmp_path / "study.yaml")

    return loaded


@pytest.fixture
def daskglass(tmp_path):
    """Run the command line where every process, workers included, registers a toy by one line."""

    def run(registry: str, entry: object, *arguments: str) -> subprocess.CompletedProcess:
        line = f"{registry}['toy'] = {entry!r}"
        (tmp_path / "sitecustomize.py").write_text(f"from daskglass.registry import *\n{line}\n")
        return subprocess.run(
            [sys.executable, "-m", "daskglass", *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True,
            env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "COLUMNS": "200"},
        )  # fmt: skip

    return run


def write_toys(folder: Path) -> np.ndarray:
    """Write two temperatures of a run that no format but the toy's holds; returns its unwrapped positions."""
    run = make_run(frames=4, particles=30)
    walk = np.cumsum(np.random.default_rng(0).normal(0, 0.05, run.position.shape), axis=0)
    whole = run.position[0] + walk
    image = np.rint(whole / run.box).astype(np.int32)
    for T in ("0.5", "0.6"):
        np.savez(
            folder / f"T{T}.npz",
            step=run.step, box=run.box, position=(whole - image * run.box).astype(np.float32), image=image, typeid=run.typeid,
        )  # fmt: skip
    return whole


# --- readers -------------------------------------------------------------------------------------------------------


def test_a_reader_is_a_file_and_a_line(daskglass, load_text, monkeypatch, tmp_path):
    files = 'source: {trajectories: {format: toy, path: "T{temperature}.npz", timestep: 0.004}}\ninherent: none\n'
    text = f"study: toy\nstore: toy.zarr\n{files}"
    with pytest.raises(StudyError, match=r"source\.trajectories\.format: unknown trajectory format 'toy': choose gsd"):
        load_text(text)
    monkeypatch.setitem(READERS, "toy", READER)
    assert load_text(text).source.trajectories.format == "toy"
    with pytest.raises(StudyError, match="'none': choose gsd, lammps, signac, isoconfigurational or toy"):
        load_text(text.replace("format: toy", "format: none"))

    assert f"toy: {READER.about}" in daskglass("READERS", READER, "convert", "--help").stdout

    positions = write_toys(tmp_path)
    daskglass(
        "READERS", READER,
        "convert", "--format", "toy", "T{temperature}.npz", "toy.zarr", "--system", "a", "--replica", "0", "--timestep", "0.004",
    )  # fmt: skip
    run = open_store(tmp_path / "toy.zarr")["a/production"].dataset
    assert run["temperature"].values.tolist() == [0.6, 0.5]
    np.testing.assert_allclose(run["position"].sel(temperature=0.5, replica=0), positions, atol=1e-5)


def test_a_project_is_its_own_table(load_text, monkeypatch):
    monkeypatch.setitem(READERS, "toy", ReaderEntry(READER.place, READER.about, "tests.toys.project:rows"))
    source = "{format: toy, path: project, timestep: 0.004, table: runs.csv}"
    with pytest.raises(StudyError, match=r"source\.trajectories\.table: a project of format toy is its own table"):
        load_text(f"study: toy\nstore: toy.zarr\nsource: {{trajectories: {source}}}\ninherent: none\n")


# --- engines -------------------------------------------------------------------------------------------------------


def test_an_engine_is_a_file_and_a_line(load_text, monkeypatch, tmp_path):
    with pytest.raises(StudyError, match=r"source\.simulate\.engine: unknown engine 'toy': choose lammps or hoomd"):
        load_text(STUDY)
    monkeypatch.setitem(ENGINES, "toy", ENGINE)
    study = load_text(STUDY)
    assert (study.source.simulate.engine, study.inherent.minimizer) == ("toy", "steepest")
    with pytest.raises(StudyError, match="unknown engine 'none': choose lammps, hoomd or toy"):
        load_text(STUDY.replace("simulate: {engine: toy", "simulate: {engine: none"))
    with pytest.raises(StudyError, match=r"engine native only minimises; to simulate choose lammps, hoomd or toy"):
        load_text(STUDY.replace("simulate: {engine: toy", "simulate: {engine: native"))

    link = Link(
        "toy", "ka_0.0", kob_andersen(0.0), 216, 0, 1, 1.0, 0.004, tmp_path / "link",
        production=Uniform(3, 1.0), equilibration=Duration(2.0, 1.0), relaxation_time=1.0,
    )  # fmt: skip
    simulate(link)
    with gsd.hoomd.open(tmp_path / "link/production.gsd", "r") as file:
        frames = list(file)
    assert [frame.configuration.step for frame in frames] == [0, 250, 500]

    box = frames[0].configuration.box[:3]
    positions = np.array([frame.particles.position + box / 2 for frame in frames])
    minima = get_engine("toy").minimize(link.mixture, positions, frames[0].particles.typeid, box, minimizer="steepest")
    assert np.abs(positions - positions[0]).max() > 0
    np.testing.assert_array_equal(minima.positions[1], minima.positions[0])


@pytest.mark.parametrize(("engine", "minimizer"), [("hoomd", "cg"), ("toy", "cg"), ("lammps", "steepest")])
def test_a_minimizer_that_an_engine_lacks_is_refused_when_the_study_is_read(load_text, monkeypatch, engine, minimizer):
    monkeypatch.setitem(ENGINES, "toy", ENGINE)
    there = listed(ENGINES[engine].minimizers)
    with pytest.raises(
        StudyError, match=rf":6: inherent\.minimizer: unknown {engine} minimizer '{minimizer}': choose {there}"
    ):
        load_text(STUDY.replace("{engine: toy, minimizer: steepest}", f"{{engine: {engine}, minimizer: {minimizer}}}"))


def test_the_default_minimizer_is_checked_too(load_text, monkeypatch):
    monkeypatch.setitem(ENGINES, "toy", EngineEntry(ENGINE.place, "", {"steepest": 1}, 100, ENGINE.core))
    with pytest.raises(StudyError, match=r"inherent\.minimizer: unknown toy minimizer 'fire': choose steepest"):
        load_text(STUDY.replace(", minimizer: steepest", ""))


def test_what_engines_state_of_themselves_imports_none_of_them():
    code = "import sys, daskglass.registry; sys.exit(bool({'gsd', 'numpy', 'lammps', 'hoomd'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- batch systems -------------------------------------------------------------------------------------------------


def test_a_batch_system_is_a_file_and_a_line(daskglass, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "cluster.yaml"
    keys = "jobs: 1, cores: 1, memory: 1GB, interface: lo, wait: 120s, queue: short, walltime: '30'"

    def load_type(kind: str):
        file.write_text(f"mine: {{type: {kind}, {keys}}}\n")
        return load_profile("mine", file)

    with pytest.raises(StudyError, match="'toy' is not a cluster type"):
        load_type("toy")
    monkeypatch.setitem(BATCH_SYSTEMS, "toy", BATCH_SYSTEM)
    profile = load_type("toy")
    with pytest.raises(StudyError, match=r"'another' is not a cluster type; the known ones are .*slurm, toy"):
        load_type("another")
    assert "#TOY -q short -t 30" in job_script(profile)
    assert "--lifetime 1350s" in job_script(profile)
    file.write_text(f"mine: {{type: toy, {keys.replace('30', '00:30')}}}\n")
    with pytest.raises(StudyError, match="'00:30' is not a walltime of toy; write it as one of MM"):
        load_profile("mine", file)

    assert re.search(r"address, slurm.*or\s+toy", daskglass("BATCH_SYSTEMS", BATCH_SYSTEM, "cluster", "--help").stdout)

    with connect(profile, tmp_path / "store.zarr") as connection:
        assert connection.client.submit(sum, (1, 2)).result() == 3


# --- figures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_figure(monkeypatch):
    """Leave one figure registered: the others take long, and are drawn elsewhere."""
    monkeypatch.setattr(spheres, "PIXELS", 60)
    before = dict(FIGURES)
    FIGURES.clear()
    FIGURES["diffusion"] = before["diffusion"]
    yield
    # in their order, which numbers them
    FIGURES.clear()
    FIGURES.update(before)


def test_a_figure_is_a_file_and_a_line(daskglass, one_figure, tmp_path):
    with pytest.raises(StudyError, match="unknown figure 'toy': choose diffusion"):
        drawn("toy", read_results(tree()))
    FIGURES["toy"] = FIGURE

    results = read_results(tree())
    for number in (1, 2):
        write_figure(results, number, tmp_path)
    write_page(results, {}, tmp_path, tmp_path)
    assert {"figure_1.png", "figure_2.png", "figure_2.svg"} < {path.name for path in tmp_path.iterdir()}
    page = (tmp_path / "index.html").read_text()
    assert '<figure id="figure-2">' in page
    assert "Figure 2. How many systems there are." in page
    assert "The number of systems, large. Data: " in page
    assert "Figure 3" not in page

    assert re.search(r"barriers,\s+toy", daskglass("FIGURES", FIGURE, "figures", "--help").stdout)


# --- what is there -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        *(reader.place for reader in READERS.values()),
        *(reader.project for reader in READERS.values() if reader.project),
        *(engine.place for engine in ENGINES.values()),
        *(system.place for system in BATCH_SYSTEMS.values()),
        *(figure.place for figure in FIGURES.values()),
    ],
)
def test_every_place_is_there(place):
    assert load(place)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def row_of(page: str, start: str) -> str:
    [row] = [line for line in text_of(page).splitlines() if line.startswith(start)]
    return row


def test_the_tables_of_the_documentation_list_what_is_registered():
    formats = text_of("docs/your_own_trajectories.md").partition("## Formats")[2].partition("\n\nAll formats")[0]
    assert re.findall(r"^\| `(\w+)` \|", formats.partition("|---|---|")[2], re.MULTILINE) == list(READERS)
    assert listed(f"`{name}`" for name in READERS) in row_of("docs/study_file.md", "| `source.trajectories` | `format`")
    for start, engines in (("| `source.simulate` | `engine`", simulating()), ("| `inherent` | `engine`", ENGINES)):
        assert listed(f"`{name}`" for name in engines) in row_of("docs/study_file.md", start)
    for name, engine in ENGINES.items():
        minimizers = listed(f"`{minimizer}`" for minimizer in engine.minimizers)
        assert f"{minimizers} of `{name}`" in row_of("docs/study_file.md", "| `inherent` | `engine`")
    assert listed(f"`{name}`" for name in TEMPLATES) in text_of("docs/study_file.md")
    assert f"on {listed(system.about for system in BATCH_SYSTEMS.values())}," in " ".join(text_of("README.md").split())


def test_profiles_that_are_shipped_are_those_of_the_documentation():
    profiles = re.findall(r"^([\w-]+):", SHIPPED.read_text(encoding="utf-8"), re.MULTILINE)
    assert f"({', '.join(f'`{name}`' for name in profiles if name != 'local')})" in text_of("docs/clusters.md")
