"""Two studies compared: as many false alarms as promised, every known shift found, nothing passed over in silence."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from daskglass.errors import StoreError, StudyError
from daskglass.physics import motion
from daskglass.physics.systems import kob_andersen
from daskglass.report.chance import family_bound, student, student_sigma
from daskglass.report.compare import TOGETHER, Comparison, Row, compare
from daskglass.store.tables import Tables
from tests.report.studies import STRATA, TEMPERATURES, changed, drawn


def of(first: Tables, second: Tables, **options: Any) -> Comparison:
    return compare({"ka_0.0": first}, {"ka_0.0": second}, **options)


def row(found: Comparison, quantity: str) -> Row:
    return next(row for row in found.rows if row.quantity == quantity)


# --- chance --------------------------------------------------------------------------------------------------------


def test_one_number_has_the_bound_that_is_asked_for_and_many_that_of_sidak() -> None:
    assert family_bound(3.0, 1) == pytest.approx(3.0)
    alone = 2 * stats.norm.sf(family_bound(3.0, 200))
    assert 1 - (1 - alone) ** 200 == pytest.approx(2 * stats.norm.sf(3.0))


def test_an_error_over_two_replicas_is_a_cauchy_distribution() -> None:
    t = np.array([12.706, -12.706, 0.0, 1e9])
    sigma = student_sigma(t, np.ones(4))
    np.testing.assert_allclose(sigma[:3], [1.96, -1.96, 0.0], atol=1e-3)
    assert sigma[3] == pytest.approx(stats.norm.isf(stats.cauchy.sf(1e9)))


def test_a_difference_that_no_double_can_tell_the_rarity_of_is_still_a_large_one() -> None:
    assert student_sigma(np.array([60.0, np.inf]), np.array([np.inf, 1.0])).tolist() == [60.0, np.inf]


def test_degrees_of_freedom_are_those_of_the_error_that_rules_and_of_both_where_they_are_equal() -> None:
    errors = np.array([1.0, 1e-9, 1.0]), np.array([1e-9, 1.0, 1.0])
    t, degrees = student(np.ones(3), *errors, 3.0, 3.0)
    np.testing.assert_allclose(t, [1, 1, np.sqrt(0.5)])
    np.testing.assert_allclose(degrees, [3, 3, 6])
    np.testing.assert_allclose(student(np.ones(3), *errors, 3.0, 9.0)[1], 3)


@pytest.mark.parametrize("freedom", [(1, 1), (2, 2), (21, 21), (3, 1), (21, 1), (21, 4)])
@pytest.mark.parametrize("larger", [0.3, 1.0, 3.0])
def test_errors_of_any_freedom_give_no_more_false_alarms_than_promised(freedom: tuple[int, int], larger: float) -> None:
    rng, draws = np.random.default_rng(0), 1_000_000
    errors = [size * np.sqrt(rng.chisquare(nu, draws) / nu) for size, nu in zip((1.0, larger), freedom, strict=True)]
    difference = rng.normal(0, np.hypot(1.0, larger), draws)
    t, degrees = student(difference, *errors, *map(float, freedom))
    for bound in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(bound) * draws
        # Welch's degrees of freedom are good to a fifth
        assert (np.abs(student_sigma(t, degrees)) > bound).sum() < 1.2 * expected + 4 * np.sqrt(expected)


def test_numbers_that_are_the_same_do_not_differ_without_an_error_and_others_do() -> None:
    nothing = np.zeros(2)
    t, degrees = student(np.array([0.0, 0.1]), nothing, nothing, 1.0, 1.0)
    assert student_sigma(t, degrees).tolist() == [0.0, np.inf]


@pytest.mark.parametrize(("replicas", "fewest", "most"), [(8, 91, 99), (2, 95, 100)])
def test_two_studies_of_one_law_agree_in_95_of_100(replicas: int, fewest: float, most: float) -> None:
    # a bound of 2 σ is exceeded by 4.6 %; with two replicas Welch's degrees of freedom are on the safe side
    draws = 150
    agreed = sum(
        of(drawn(2 * k, replicas=replicas), drawn(2 * k + 1, replicas=replicas), sigma=2.0).agrees for k in range(draws)
    )
    assert fewest <= 100 * agreed / draws <= most


def test_chi_squared_of_studies_of_one_law_is_as_large_as_their_number() -> None:
    found = [of(drawn(2 * k, replicas=8), drawn(2 * k + 1, replicas=8)).chi_squared for k in range(40)]
    squares, numbers, chances = np.array(found).T
    assert squares.sum() / numbers.sum() == pytest.approx(1.0, abs=4 * np.sqrt(2 / numbers.sum()))
    assert stats.kstest(chances, "uniform").pvalue > 1e-3


# --- shifts --------------------------------------------------------------------------------------------------------


def test_a_shift_of_known_size_is_found_and_named() -> None:
    reference = drawn(0)
    energy, error = (reference.ensemble[f"activation_energy{end}"] for end in ("", "_err"))
    one = xr.zeros_like(energy)
    one[1, 2] = 30.0 * np.sqrt(2.0) * error[1, 2]
    found = of(changed(reference, activation_energy=energy + one), reference)
    beyond = [row for row in found.rows if found.verdict(row) == "beyond"]
    assert [(row.system, row.quantity) for row in beyond] == [("ka_0.0", "activation_energy of local_entropy")]
    label, sigma = beyond[0].largest
    # two equal errors of lines through 5 temperatures have 6 degrees of freedom
    assert (label, sigma) == ("stratum 3", pytest.approx(stats.norm.isf(stats.t.sf(30.0, 6))))
    assert not found.agrees
    assert found.chi_squared[0] == pytest.approx(sigma**2)


def test_the_difference_is_that_of_the_first_from_the_reference() -> None:
    reference = drawn(0)
    larger = changed(reference, onset_temperature=reference.ensemble["onset_temperature"] + 0.1)
    assert row(of(larger, reference), "onset_temperature of softness").sigma > 0
    assert row(of(reference, larger), "onset_temperature of softness").sigma < 0


def test_a_small_shift_of_all_temperatures_is_found_by_all_of_them_together() -> None:
    reference = drawn(0, temperatures=np.arange(2.0, 0.7, -0.1), replicas=8)
    energy, error = (reference.ensemble[f"potential_energy{end}"] for end in ("", "_err"))
    found = of(changed(reference, potential_energy=energy + 2.5 * np.sqrt(2) * error), reference)
    shifted = row(found, "potential_energy")
    assert np.abs(shifted.sigma).max() < found.bound
    assert shifted.largest[0] == TOGETHER
    assert not found.agrees


@pytest.mark.parametrize(
    ("temperatures", "numbers", "shift", "found"), [(13, 200, 2.0, 0.65), (7, 56, 3.5, 0.8), (3, 28, 14.0, 0.83)]
)
def test_of_two_replicas_a_shift_is_found_as_often_as_the_docs_say(temperatures, numbers, shift, found) -> None:
    x = np.random.default_rng(0).standard_normal((2, 4000, temperatures, 2)) * np.sqrt(2)
    means, errors = x.mean(axis=-1), x.std(axis=-1, ddof=1) / np.sqrt(2)
    t, freedom = student(means[0] - means[1] + shift * np.sqrt(2), *errors, 1.0, 1.0)
    sigma = student_sigma(t, freedom)
    largest = np.maximum(np.abs(sigma).max(axis=1), np.abs(sigma.sum(axis=1)) / np.sqrt(temperatures))
    assert np.mean(largest > family_bound(3.0, numbers)) == pytest.approx(found, abs=0.03)


def test_strata_are_not_put_together_as_if_they_were_independent() -> None:
    found = of(drawn(0), drawn(1))
    assert TOGETHER in row(found, "potential_energy").differences
    assert not any(
        TOGETHER in row(found, f"activation_energy of {name}").differences for name in ("softness", "local_entropy")
    )


def test_one_replica_has_the_errors_of_the_parts_of_its_time() -> None:
    one, other = drawn(0, replicas=1), drawn(1, replicas=1)
    known = [
        changed(tables, relaxation_time_err=xr.full_like(tables.ensemble["relaxation_time"], 0.1))
        for tables in (one, other)
    ]
    found = of(*known)
    np.testing.assert_allclose(row(found, "relaxation_time").freedom, 2 * (motion.PARTS - 1))
    assert "ka_0.0: potential_energy: no error on either side" in found.left_out


def test_what_depends_on_a_model_of_its_own_is_shown_and_not_judged() -> None:
    reference = drawn(0)
    found = of(changed(reference, recall=reference.ensemble["recall"] + 10.0), reference)
    assert found.verdict(row(found, "recall")) == "not judged"
    assert row(found, "recall").largest[1] > 5
    assert found.agrees


def test_errors_over_blocks_of_time_have_the_freedom_of_each_temperature() -> None:
    blocks = xr.DataArray([8, 8, 8, 4, 4], dims="temperature")
    cold = xr.DataArray([2, 5], dims="variable")
    one, other = (changed(drawn(k, temperatures=TEMPERATURES), blocks=blocks, supercooled=cold) for k in (0, 1))
    for tables in (one, other):
        for name in ("recall_err", "onset_temperature_err"):
            tables.ensemble[name][:] = 0.03
    found = of(one, other)
    # of two equal errors
    np.testing.assert_allclose(row(found, "recall").freedom, 2 * np.array([7, 7, 7, 3, 3]))
    # barriers are of the coldest temperatures alone, and of their scatter about a line where it leaves fewer
    assert row(found, "onset_temperature of softness").freedom == pytest.approx(2 * 2 * 3)
    assert row(found, "onset_temperature of local_entropy").freedom == pytest.approx(2 * 3)


def test_errors_of_an_unknown_number_of_blocks_are_not_compared() -> None:
    older = drawn(1)
    older = Tables(older.attrs, older.ensemble.drop_vars("blocks"), older.model)
    found = of(drawn(0), older)
    assert (
        "ka_0.0: recall: errors of an older version: `daskglass run` fits its barriers again (in the reference)"
        in found.left_out
    )
    # those over replicas are
    assert np.isfinite(row(found, "potential_energy").sigma).all()


def test_an_onset_that_is_unknown_is_not_compared() -> None:
    """Where lines are parallel within their errors, T_A that comes out low has a small error."""
    tables = drawn(0)
    y = tables.ensemble["scaled_entropy"]
    apart = (y.isel(stratum=-1) - y.isel(stratum=0)) / 2
    one = xr.DataArray(np.diag([1.0] + [0.0] * STRATA), dims=("term", "term_2"))
    parallel = changed(tables, scaled_entropy_terms_cov=apart**2 * one)
    found = of(parallel, drawn(1))
    where = "ka_0.0: onset_temperature of softness: T_A is unknown here: Σ of the outer strata differ by 2.0 errors"
    assert where in found.left_out
    assert not any(each.quantity.startswith(("onset", "scaled")) for each in found.rows)
    assert any(each.quantity.startswith("activation_energy") for each in found.rows)


# --- what is not compared ------------------------------------------------------------------------------------------


def test_what_only_one_side_has_is_listed() -> None:
    here, there = drawn(0, temperatures=(1.0, 0.9, 0.8)), drawn(1, temperatures=(0.9, 0.8 * (1 + 1e-12), 0.7))
    energy = there.ensemble["potential_energy"].copy()
    energy[0] = np.nan
    there = changed(there, potential_energy=energy)
    there = Tables(there.attrs, there.ensemble.drop_vars("pressure").isel(variable=[0]), there.model)
    found = compare({"ka_0.0": here, "mine": here}, {"ka_0.0": there, "yours": there})
    for text in (
        "mine: only here", "yours: only in the reference",
        "ka_0.0: only here: T = 1", "ka_0.0: only in the reference: T = 0.7",
        "ka_0.0: strata of local_entropy: only here", "ka_0.0: pressure: only here",
        "ka_0.0: potential_energy: no value in the reference at T = 0.9",
        "ka_0.0: onset_temperature: of all temperatures together, which differ",
    ):  # fmt: skip
        assert text in found.left_out
    assert row(found, "potential_energy").labels == ("T = 0.8",)
    assert row(found, "s2").labels == ("T = 0.9", "T = 0.8")


def test_strata_of_another_number_are_listed() -> None:
    reference = drawn(0)
    fewer = Tables(reference.attrs, reference.ensemble.isel(stratum=slice(4)), reference.model)
    assert any(
        text.startswith("ka_0.0: activation_energy of softness: {'stratum': 4}")
        for text in of(fewer, reference).left_out
    )


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(StudyError, match="no system in common: mine here, yours in the reference"):
        compare({"mine": drawn(0)}, {"yours": drawn(1)})
    with pytest.raises(StudyError, match=r"nothing in common that can be judged.*only here: T = 1, 0\.9"):
        of(drawn(0, temperatures=(1.0, 0.9)), drawn(1, temperatures=(0.7, 0.6)))


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"hops": {"window": 8.0}}, "hops.window: 8 here, 10 in the reference"),
        ({"hops": {"soft": 0.1}}, "hops.soft: 0.1 here, 0.2"),
        ({"radial": {"core": "omit"}}, "radial.core: omit here, limit"),
        ({"radial": {"r_max": 4.0}}, "radial.r_max: 4 here, 5"),
        ({"structure": {"width": 0.2}}, "structure.width: 0.2 here, 0.1"),
        ({"structure": {"mu": [0.4, 2.0, 0.1]}}, r"structure.mu: \[0.4, 2.0, 0.1\] here"),
        ({"dynamics": {"q": 7.0}}, "dynamics.q: 7 here, 7.14"),
        ({"inherent": "none"}, "positions: thermal here, inherent structures in the reference"),
        ({"inherent": {"minimizer": "descent"}}, "inherent.minimizer: descent here, fire"),
    ],
)
def test_settings_that_change_the_meaning_are_refused_by_their_keys(study: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=f"ka_0.0: the studies do not compute the same quantities: .*{message}"):
        of(drawn(0, study=study), drawn(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"density": 1.18}, "mixture.density: 1.18 here, 1.2"), ({"delta": 0.1}, "mixture.delta: 0.1 here, 0 "),
     ({"cutoff_shift": "force"}, "mixture.cutoff_shift: force here, energy")],
)  # fmt: skip
def test_another_mixture_is_refused(change: dict[str, Any], message: str) -> None:
    other = kob_andersen(0.0).model_copy(update=change).model_dump_json()
    with pytest.raises(StudyError, match=message):
        of(drawn(0, mixture=other), drawn(1))


def test_where_the_mixture_of_one_is_unknown_species_and_density_must_agree() -> None:
    unknown = drawn(0, mixture=None)
    assert "potential: unknown here, known in the reference" in of(unknown, drawn(1)).differs
    with pytest.raises(StudyError, match=r"density: 1\.1 here, 1\.2"):
        of(changed(unknown, density=xr.DataArray(1.1)), drawn(1))


@pytest.mark.parametrize(
    ("name", "given"), [("hops", "x"), ("softness", {"train_on": None}), ("radial", {"r_max": -1})]
)
def test_settings_that_are_none_are_named(name: str, given: Any) -> None:
    with pytest.raises(StoreError, match=f"the settings `{name}` of its study are damaged"):
        of(drawn(0), drawn(1, study={name: given}))


def test_settings_that_do_not_matter_are_listed_once() -> None:
    other = {
        "source": {"simulate": {"engine": "hoomd", "seed": 2}}, "softness": {"samples_per_class": 500},
        "barriers": {"resamples": 50},
    }  # fmt: skip
    here = drawn(
        0, study=other, timestep=0.002, particles=4000, versions=json.dumps({"daskglass": "0.2.0"}), replicas=3
    )
    found = compare(dict.fromkeys("ab", here), dict.fromkeys("ab", drawn(1)))
    assert set(found.differs) == {
        "source.simulate.engine: hoomd here, lammps in the reference",
        "source.simulate.seed: 2 here, none in the reference",
        "softness.samples_per_class: 500 here, 10000 in the reference",
        "barriers.resamples: 50 here, 200 in the reference",
        "time step: 0.002 here, 0.004 in the reference",
        "particles: 4000 here, 2000 in the reference",
        "replicas: 3 here, 2 in the reference",
        "versions.daskglass: 0.2.0 here, 0.1.0 in the reference",
    }


def test_simulated_and_read_studies_differ_in_their_source_alone() -> None:
    files = drawn(0, study={"source": {"trajectories": {"path": "$HERE/x.gsd"}}})
    assert of(files, drawn(1)).differs == ["source: files here, simulated in the reference"]


@pytest.mark.parametrize(
    "study",
    [{"softness": {"C": 2.0}}, {"softness": {"train_on": {"run": "training", "temperature": 0.9}}}],
)
def test_another_model_leaves_out_what_is_of_softness(study: dict[str, Any]) -> None:
    found = of(drawn(0, study=study), drawn(1))
    quantities = {row.quantity for row in found.rows}
    assert {"potential_energy", "activation_energy of local_entropy"} <= quantities
    assert not quantities & {
        "recall",
        "pearson_pooled",
        "activation_energy of softness",
        "onset_temperature of softness",
    }
    assert sum("softness." in text for text in found.left_out) == 5


def test_the_second_coldest_temperature_is_where_softness_is_trained_by_default() -> None:
    named = {"softness": {"train_on": {"run": "training", "temperature": TEMPERATURES[-2]}}}
    assert of(drawn(0, study=named), drawn(1)).differs == []
