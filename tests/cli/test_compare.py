"""The commands that hold one study against another: what they print, write and exit with."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from daskglass.report import differences
from daskglass.report.compare import Comparison, compare
from tests.cli.test_queries import table
from tests.report.studies import drawn
from tests.report.synthetic import build
from tests.store.test_tables import SYSTEMS, with_axes
from tests.studies import command, command_here

WIDE = os.environ | {"COLUMNS": "140"}


def shifted(_, ensemble):
    ensemble = with_axes(_, ensemble)
    ensemble["onset_temperature"][1] += 1000 * ensemble["onset_temperature_err"][1]
    return ensemble


def colder(_, ensemble):
    return with_axes(_, ensemble).isel(temperature=slice(1, None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with a store, its tables, and stores that differ from it."""
    folder = tmp_path_factory.mktemp("compared")
    build(folder / "one.zarr", systems=SYSTEMS, change=with_axes)
    build(folder / "shifted.zarr", systems=SYSTEMS, change=shifted)
    build(folder / "colder.zarr", systems={"ka_0.0": SYSTEMS["ka_0.0"]}, change=colder)
    assert command_here("tables", "one.zarr", "tables", folder=folder).returncode == 0
    return folder


def test_tables_are_named_with_their_sizes(folder, tmp_path):
    done = command_here("tables", "one.zarr", tmp_path / "new", folder=folder)
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [
        str(tmp_path / "new" / f"{system}.nc") for system in SYSTEMS
    ]
    assert done.stdout.splitlines()[0].endswith(" kB")


@pytest.mark.parametrize(
    ("first", "second"), [("one.zarr", "tables"), ("tables", "one.zarr"), ("one.zarr", "one.zarr")]
)
def test_a_store_agrees_with_its_own_tables(folder, first, second):
    done = command_here("compare", first, second, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "differs" not in done.stdout
    assert done.stdout.splitlines()[-1] == "agrees"


def test_every_quantity_has_a_row(folder):
    # in a process of its own, as wide as that is told to be
    done = command("compare", "one.zarr", "tables", folder=folder, env=WIDE)
    rows = table(done.stdout)
    assert rows[0] == ["system", "quantity", "numbers", "mean", "largest", "at", "verdict"]
    assert ["mine", "potential energy", "5", "+0.00", "+0.00", "T = 0.9", "agrees"] in rows


def test_what_is_beyond_is_named_and_the_exit_status_says_so(folder, tmp_path):
    done = command_here(
        "compare", "shifted.zarr", "tables", "--out", tmp_path / "out.csv", "--figure", tmp_path / "out.png",
        folder=folder, env=WIDE,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.split(": ")[1] for line in lines if line.startswith("beyond")] == [
        f"{system} onset_temperature of local_entropy" for system in SYSTEMS
    ]
    assert lines[-1] == "does not agree"
    assert "chance takes any of them beyond" in done.stdout
    rows = pd.read_csv(tmp_path / "out.csv")
    beyond = rows[rows["sigma"] > 5]
    assert set(beyond["quantity"]) == {"onset_temperature of local_entropy"}
    np.testing.assert_allclose((beyond["value"] - beyond["reference"]) / beyond["error"], 1000)
    assert image.imread(tmp_path / "out.png").std() > 0


def test_a_wider_bound_is_the_users_to_choose(folder):
    assert command_here("compare", "shifted.zarr", "tables", "--sigma", "10", folder=folder).returncode == 0
    assert command_here("compare", "shifted.zarr", "tables", "--sigma", "0", folder=folder).returncode == 2


def test_what_only_one_side_has_is_listed(folder):
    done = command_here("compare", "colder.zarr", "tables", folder=folder)
    assert done.returncode == 0
    for text in (
        "mine: only in the reference", "ka_0.0: only in the reference: T = 0.9",
        "ka_0.0: onset_temperature: of all temperatures together, which differ", 
        "ka_0.0: pearson_pooled: of all temperatures together, which differ",
    ):  # fmt: skip
        assert f"not compared: {text}\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("one.zarr", "empty"), "neither a store with a finished system nor a folder of tables"),
        (("none.zarr", "tables"), "neither a store with a finished system nor a folder of tables"),
        (("one.zarr", "cut"), "cut/ka_0.0.nc: cannot be read: damaged, cut short"),
        (("one.zarr", "others"), "no system in common: ka_0.0, mine here, theirs in the reference"),
        (("one.zarr", "tables", "--out", "x.txt"), "--out x.txt: the name must end in .csv"),
        (("one.zarr", "tables", "--figure", "x.gif"), "--figure x.gif: the name must end in .png or .svg or .pdf"),
        (("one.zarr", "tables", "--out", "no/x.csv"), "the folder no does not exist"),
        (("one.zarr", "tables", "--figure", "no/x.png"), "the folder no does not exist"),
        (("one.zarr", "tables", "--out", "folder.csv"), "folder.csv"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_that_says_so(folder, arguments, message):
    for name in ("empty", "cut", "others", "folder.csv"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "cut/ka_0.0.nc").write_bytes((folder / "tables/ka_0.0.nc").read_bytes()[:5000])
    shutil.copy(folder / "tables/ka_0.0.nc", folder / "others/theirs.nc")
    done = command_here("compare", *arguments, folder=folder)
    # 1 says that physics differs
    assert done.returncode == 2
    assert message in done.stderr


def test_other_settings_are_refused_before_any_number(folder, tmp_path):
    path = tmp_path / "window.zarr"
    shutil.copytree(folder / "one.zarr", path)
    for system in SYSTEMS:
        file = path / system / "production/zarr.json"
        metadata = json.loads(file.read_text())
        study = json.loads(metadata["attributes"]["study"])
        metadata["attributes"]["study"] = json.dumps(study | {"hops": {"window": 8.0}})
        file.write_text(json.dumps(metadata))
    done = command_here("compare", path, "tables", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hops.window: 8 here, 10 in the reference" in done.stderr


# --- the figure ----------------------------------------------------------------------------------------------------


def five() -> Comparison:
    systems = [f"ka_0.{k}" for k in range(5)]
    first, second = ({name: drawn(2 * k + side) for k, name in enumerate(systems)} for side in (0, 1))
    far = first["ka_0.0"].ensemble
    far["onset_temperature"][0] += 4e9
    return compare(first, second)


def test_the_figure_is_one_column_wide_and_leaves_nothing_out(tmp_path):
    found = five()
    figure = differences.draw(found)
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(85)
    (ax,) = figure.axes
    lines = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert len(lines) == sum(len(row.differences) for row in found.rows)
    drawn_at = np.array([line.get_xdata()[0] for line in lines])
    low, high = ax.get_xlim()
    assert (np.abs(drawn_at) < high).all()
    assert low == -high
    # what is far is drawn at the edge, as an arrow
    (arrow,) = [line for line in lines if line.get_marker() == ">"]
    assert arrow.get_xdata()[0] > found.bound
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"ka_0.{k}" for k in range(5)]


def test_no_text_of_the_figure_is_smaller_than_seven_points(tmp_path):
    with differences.styled(), differences.matplotlib.rc_context(differences.SIZES):
        figure = differences.draw(five())
        figure.canvas.draw()
        texts = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize")) if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 7
