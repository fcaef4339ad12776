"""The paper's claims, strata and page, asked of every structural variable in place of local entropy."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from daskglass.physics.systems import kob_andersen
from daskglass.report.claims import Claim, judge
from daskglass.report.collapse import points
from daskglass.report.figures import drawn
from daskglass.report.page import page
from daskglass.report.results import Results, read_results
from daskglass.stages.structural import STRUCTURAL_VARIABLES, StructuralVariable, names
from tests.report.synthetic import tree, with_density

THREE = {f"ka_{delta}": kob_andersen(delta) for delta in (0.0, 0.2, 0.4)}
MANY = [0.9, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]
(DENSITY,) = (variable for variable in STRUCTURAL_VARIABLES if variable.name == "local_density")


@pytest.fixture(scope="module")
def results() -> Results:
    return read_results(tree(systems=THREE, temperatures=MANY, change=with_density))


@pytest.fixture(scope="module")
def claims(results: Results) -> list[Claim]:
    return judge(results, DENSITY)


def found(claims: list[Claim], part: str) -> Claim:
    return next(claim for claim in claims if part in claim.text)


def test_the_eight_claims_are_asked_of_it(claims: list[Claim]) -> None:
    assert len(claims) == 8
    assert all("local density" in claim.text for claim in claims)
    assert not any("s⁽²⁾" in claim.text for claim in claims)


def test_its_own_strata_are_judged(claims: list[Claim]) -> None:
    assert found(claims, "linear in 1/T").verdict == "confirmed"
    assert "of local density" in found(claims, "linear in 1/T").reasons[0]
    # by a factor of three, where it is colder than in the paper
    assert found(claims, "ten-fold").verdict == "refuted"
    assert found(claims, "varies more").verdict == "confirmed"
    assert found(claims, "onset temperature").verdict == "confirmed"


def test_what_falls_where_softness_rises_is_judged_by_its_size(results: Results, claims: list[Claim]) -> None:
    P = results.systems[0].fits("local_density")["probability"].isel(temperature=-1)
    x, x_err = points(results.systems[0], True, DENSITY).x, points(results.systems[0], True, DENSITY).x_err

    assert P[0] > P[-1]
    assert (np.diff(x[np.isfinite(x)]) < 0).all()
    np.testing.assert_allclose(x_err, 0.005 / np.sqrt(2), rtol=0.5)
    assert found(claims, "monotonically").verdict == "confirmed"
    assert "0.300 ± 0.010 at Δ = 0" in found(claims, "Pearson").reasons[0]


def test_barriers_collapse_in_its_mean(claims: list[Claim]) -> None:
    collapse = found(claims, "entropies of all systems collapse on one line in the mean local density")
    assert collapse.reasons[0].endswith("x, x the local density of the same softness")
    assert collapse.reasons[1].startswith("15 strata of 3 systems")


def test_a_mean_that_turns_with_softness_is_not_monotonic() -> None:
    def turned(name: str, ensemble: xr.Dataset) -> xr.Dataset:
        table = with_density(name, ensemble)
        means = table["mean_grouped_pooled"].copy()
        means.loc["local_density"] = 93 + np.abs(table["softness_bin"]) - 0.1 * table["softness_bin"]
        return table.assign(mean_grouped_pooled=means)

    assert found(judge(read_results(tree(change=turned)), DENSITY), "monotonically").verdict == "refuted"


def test_the_page_shows_its_verdicts_and_its_strata(results: Results) -> None:
    text = page(results, [], {})
    figure = drawn("others", results)

    assert "The same of other structural variables" in text
    assert "<summary>Local density: " in text
    assert "others" in results.figures
    assert sum(ax.get_ylabel() == "$P_\\mathrm{R}$" for ax in figure.axes) == 1
    assert sum(ax.get_xlabel().startswith("$1/T$") for ax in figure.axes) == 3


def test_a_study_of_the_papers_variables_alone_shows_no_others() -> None:
    alone = read_results(tree())
    assert alone.others == []
    assert "others" not in alone.figures
    assert "other structural variables" not in page(alone, [], {})


def test_a_variable_that_one_system_lacks_is_not_compared() -> None:
    def in_one(name: str, ensemble: xr.Dataset) -> xr.Dataset:
        return with_density(name, ensemble) if name == "ka_0.2" else ensemble

    assert read_results(tree(systems=THREE, change=in_one)).others == []


def test_a_variable_is_left_out_where_the_potential_or_the_box_does_not_allow_it() -> None:
    mixture = kob_andersen(0.0)
    assert names(mixture, 9.0) == tuple(variable.name for variable in STRUCTURAL_VARIABLES)
    assert set(names(mixture, 9.0)) - set(names(mixture, 8.9)) == {"local_density"}
    assert set(names(mixture, 9.0)) - set(names(None, 9.0)) == {"local_energy"}
    assert "9 σ" in DENSITY.lacks(mixture, 8.0)
    assert StructuralVariable("mine", "mine").lacks(None, 1.0) == ""
