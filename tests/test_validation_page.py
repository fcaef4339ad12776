"""The page of the reproduced study, and the programs that write it."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from daskglass.store.tables import read_tables

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/validation")


def test_its_tables_are_those_of_its_files():
    summary = importlib.import_module("summary")
    page = (ROOT / "docs/validation.md").read_text(encoding="utf-8")
    assert summary.written(page, summary.together(read_tables(ROOT / "docs/validation"))) == page


def test_rows_of_a_store_take_the_place_of_those_of_its_systems():
    checks, summary = (importlib.import_module(name) for name in ("checks", "summary"))
    page = "<!-- cost -->\n\n| system | hours |\n| --- | --- |\n| ka_0.1 | 1.0 |\n| ka_0.2 | 2.0 |\n\n<!-- end -->\n"
    rows = [["ka_0.2", "3.0"], ["ka_0.0", "4.0"]]
    found = summary.replaced(page, "cost", lambda there: checks.with_rows(there, ("system", "hours"), rows))
    assert found == page.replace("| ka_0.1", "| ka_0.0 | 4.0 |\n| ka_0.1").replace("2.0", "3.0")
    with pytest.raises(ValueError, match="the page has 0 places for checks"):
        summary.replaced(page, "checks", str)


TAU = 5.0


def halves(number, drift=lambda t: 0.0 * t):
    """Second half less the first, in standard errors, of pairs of series with correlations exp(−t/τ), and a drift."""
    checks = importlib.import_module("checks")
    rng, decay, frames = np.random.default_rng(0), np.exp(-1 / TAU), 200
    x = rng.standard_normal((number, 2, frames))
    for k in range(1, frames):
        x[..., k] = decay * x[..., k - 1] + np.sqrt(1 - decay**2) * x[..., k]
    t = np.arange(float(frames))
    tau = xr.DataArray(np.full(2, TAU), dims="replica")
    series = xr.DataArray(x + drift(t / frames), dims=("draw", "replica", "time"), coords={"time": t})
    return np.array([checks.apart(*checks.blocks_of(each), tau) for each in series])


def test_halves_of_what_does_not_age_are_as_far_apart_as_their_errors_say():
    found = halves(400)
    assert found.mean() == pytest.approx(0, abs=0.15)
    assert found.std() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("drift", [lambda t: 3 * t, lambda t: 1.5 * (t > 0.5)], ids=["line", "step"])
def test_halves_of_what_ages_are_farther_apart(drift):
    # by 1.5, where the mean of half a run has an error of 0.3
    assert np.median(halves(40, drift)) > 3
