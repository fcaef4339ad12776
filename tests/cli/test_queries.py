"""The commands that ask a store and get data out of it: info, query, export."""

import json

import gsd.hoomd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import daskglass as dg
from daskglass.store.blocks import put_group
from tests.studies import command_here

# one worker runs the tiny study once, for all of them
pytestmark = pytest.mark.xdist_group("tiny")


@pytest.fixture(scope="module")
def run(tiny):
    return dg.open_store(tiny / "tiny.zarr")["ka_0.0/production"].dataset.load()


def table(text):
    """Cells of a printed table, a list for each row."""
    lines = [line for line in text.splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines]


@pytest.mark.parametrize("columns", [80, 100])
def test_info_shows_what_is_in_a_store_within_the_width_of_a_screen(tiny, columns):
    shown = command_here("info", "tiny.zarr", folder=tiny, env={"COLUMNS": str(columns), "PATH": ""}).stdout
    assert max(map(len, shown.splitlines())) <= columns
    production = shown[shown.index("/ka_0.0/production") : shown.index("/ka_0.0/relaxation")]
    for line in (
        "  temperature  1, 0.8  epsilon/k_B",
        "  time  0 … 20 (21)  tau",
        "  species  346 A, 86 B",
        "temperature 2 × replica 2 × time 21 × particle 432 × xyz 3, chunk 1×1×16×432×3",
    ):
        assert line.split() in [shown_line.split() for shown_line in production.splitlines()]
    position = next(line.split() for line in production.splitlines() if line.startswith("  position"))
    assert position[:5] == ["position", "float32", "sigma", "435", "kB"]
    assert position[-1] == "8/8"
    # no window of p_hop fits in the second chunk of a row: it was written none the less
    assert next(line for line in production.splitlines() if line.startswith("  hop")).endswith(" 8/8")


def test_info_shows_where_the_data_came_from(tiny, tmp_path):
    group = zarr.open_group(tmp_path / "s.zarr", mode="w")
    sources = [
        {"path": f"runs/T0.7/r{k}.gsd", "size": 1_234_567, "modified": "2024-05-01T12:34:56+00:00", "sha256": f"{k:064x}",
         "temperature": 0.7, "replica": k, "frames": 101}
        for k in range(30)
    ]  # fmt: skip
    system = group.create_group("glass")
    system.attrs.update({"versions": json.dumps({"daskglass": "9.9"}), "study": json.dumps({"study": "mine"})})
    data = xr.Dataset({"hop": (("time", "particle"), np.zeros((2, 3)))}, attrs={"sources": json.dumps(sources)})
    data.to_zarr(tmp_path / "s.zarr", group="glass/production", mode="a", consolidated=False)
    shown = command_here("info", "s.zarr", folder=tmp_path).stdout
    assert "daskglass 9.9" in shown
    assert "mine" in shown
    row = next(line.split() for line in shown.splitlines() if "runs/T0.7/r1.gsd" in line)
    assert row == ["0.7", "1", "101", "1.23", "MB", "2024-05-01", "0" * 8, "runs/T0.7/r1.gsd"]
    assert "and 18 more" in shown


@pytest.mark.parametrize("suffix", [".csv", ".nc", ".parquet"])
def test_a_query_writes_what_other_programs_read(tiny, tmp_path, run, suffix):
    out = tmp_path / f"softness{suffix}"
    asked = ("--system", "ka_0.0", "--temperature", "0.81", "--variable", "softness", "--out", out)
    done = command_here("query", "tiny.zarr", *asked, folder=tiny)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "temperature 0.81 is not there; the nearest is taken: 0.8\n"
    readers = {
        ".csv": lambda: pd.read_csv(out)["softness"].to_numpy(),
        ".parquet": lambda: pd.read_parquet(out)["softness"].to_numpy(),
        ".nc": lambda: xr.open_dataset(out, engine="h5netcdf")["softness"].to_numpy(),
    }
    expected = run["softness"].sel(temperature=0.8).values
    np.testing.assert_array_equal(readers[suffix]().ravel().astype(np.float32), expected.ravel())


def test_a_query_without_a_file_is_printed(tiny):
    shown = command_here("query", "tiny.zarr", "--run", "ensemble", "--variable", "onset_temperature", folder=tiny)
    assert "onset_temperature (epsilon/k_B)" in shown.stdout
    assert [row[1] for row in table(shown.stdout)[1:3]] == ["softness", "local_entropy"]


def test_a_query_of_scores_takes_a_lag(tmp_path):
    scores = xr.Dataset({"pearson": ("lag", [0.1, 0.2, 0.4])}, {"lag": [1.0, 10.0, 100.0]})
    put_group(tmp_path / "s.zarr", "a/scoreboard", scores)
    asked = ("query", "s.zarr", "--run", "scoreboard", "--variable", "pearson", "--lag", "10")
    assert [row[-1] for row in table(command_here(*asked, folder=tmp_path).stdout)[1:]] == ["0.2"]


def test_a_query_reduces_and_selects_by_time_replica_and_species(tiny, run):
    asked = (
        "--variable",
        "local_entropy",
        "--time",
        "0:10",
        "--replica",
        "1",
        "--species",
        "A",
        "--mean",
        "particle",
        "--mean",
    )
    shown = command_here("query", "tiny.zarr", *asked, "time", folder=tiny).stdout
    expected = (
        run["local_entropy"]
        .sel(time=slice(0, 10), replica=1)
        .isel(particle=run.species == 0)
        .mean(["time", "particle"])
    )
    rows = table(shown)[1:]
    assert [float(row[1]) for row in rows] == [1.0, 0.8]
    assert [float(row[-1]) for row in rows] == pytest.approx(expected.values.tolist(), rel=1e-4)


def test_a_long_table_is_cut_with_a_note(tiny):
    shown = command_here("query", "tiny.zarr", "--variable", "hop", "--temperature", "1", folder=tiny).stdout
    assert f"first 20 of {2 * 21 * 432:,} rows; write all with --out FILE" in shown


def test_every_relaxation_run_is_tabled_with_its_own_times(tiny, tmp_path):
    out = tmp_path / "energy.csv"
    done = command_here(
        "query", "tiny.zarr", "--run", "relaxation", "--variable", "potential_energy", "--out", out, folder=tiny
    )
    assert done.returncode == 0, done.stderr
    relaxation = dg.open_store(tiny / "tiny.zarr")["ka_0.0/relaxation"]
    read = pd.read_csv(out)
    np.testing.assert_allclose(read["time"], relaxation["time"].values.ravel())
    np.testing.assert_allclose(read["potential_energy"], relaxation["potential_energy"].values.ravel())


def test_an_exported_trajectory_holds_the_store_to_the_bit(tiny, tmp_path, run):
    out = tmp_path / "out.gsd"
    asked = (
        "--temperature",
        "0.79",
        "--replica",
        "1",
        "--positions",
        "inherent",
        "--variable",
        "softness",
        "--time",
        "3:",
    )
    done = command_here("export", "tiny.zarr", out, *asked, folder=tiny)
    assert done.stdout.endswith("out.gsd: 18 frames of 432 particles\n"), done.stderr
    row = run.sel(temperature=0.8, replica=1, time=slice(3, None))
    with gsd.hoomd.open(out, "r") as frames:
        for k, frame in enumerate(frames):
            box = frame.configuration.box[:3].astype(np.float64)
            back = (frame.particles.position + frame.particles.image * box).astype(np.float32)
            assert (back + 0).tobytes() == (row["inherent"].values[k] + 0).tobytes()
            np.testing.assert_array_equal(frame.log["particles/softness"], row["softness"][k])
        assert len(frames) == row.sizes["time"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("query", "--variable", "spin"), 1, "no variable 'spin'"),
        (("query", "--run", "ensemble"), 2, "choose by --variable from activation_energy, activation_energy_err"),
        (("query", "--variable", "hop", "--replica", "7"), 1, "no data at replica=7 in production: ka_0.0 has 0, 1"),
        (("query", "--variable", "hop", "--temperature", "0.4-0.6"), 2, "give a number, or a range"),
        (("query", "--variable", "hop", "--time", ":"), 2, "give a number, or a range"),
        (("query", "--variable", "hop", "--mean", "time", "--max", "time"), 2, "give only one of --mean and --max"),
        (("query", "--variable", "hop", "--out", "hop.txt"), 2, "must end in .nc, .csv or .parquet"),
        (("query", "--variable", "hop", "--out", "none/hop.csv"), 2, "folder none does not exist"),
        (("export", "out.xyz"), 2, "must end in .gsd"),
        (("export", "out.gsd"), 2, "choose one temperature with --temperature: 1, 0.8"),
        (("export", "out.gsd", "--temperature", "1"), 2, "choose one replica with --replica: 0, 1"),
        (
            ("export", "out.gsd", "--temperature", "1", "--replica", "0", "--variable", "pressure"),
            1,
            "pressure has dimensions",
        ),
    ],
)
def test_an_impossible_query_is_reported_in_one_line(tiny, arguments, status, message):
    done = command_here(arguments[0], tiny / "tiny.zarr", *arguments[1:], folder=tiny)
    assert done.returncode == status
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
