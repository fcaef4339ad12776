"""Tests of approximate laws: wrong verdicts are as rare as their level says, and what is large enough is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from daskglass.report import statistics
from daskglass.report.fits import Group, OneLine, bend, least_squares, one_line, scatter
from daskglass.report.statistics import LEVEL, POWER, departure, holm, root_mean_square

REPEATS = 400
MARGIN = 0.1
T = np.array([0.9, 0.8, 0.7, 0.64, 0.58, 0.55, 0.53, 0.51])


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw less noise: hundreds of tests are made here."""
    monkeypatch.setattr(statistics, "DRAWS", 4000)


def share(happened: Iterable[bool]) -> float:
    return float(np.mean([*happened]))


def at_most(level: float, repeats: int = REPEATS) -> float:
    """Share of the repeats that an event of this probability exceeds in one of a thousand series."""
    return level + 3.1 * np.sqrt(level * (1 - level) / repeats)


def at_least(level: float) -> float:
    return 2 * level - at_most(level)


# --- one number ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [np.inf, 5])
@pytest.mark.parametrize("signed", [True, False])
def test_a_departure_at_its_margin_is_called_smaller_or_larger_as_often_as_the_level_says(
    signed: bool, freedom: float
) -> None:
    rng = np.random.default_rng(0)
    errors = 0.02 * np.ones(REPEATS) if np.isinf(freedom) else 0.02 * np.sqrt(rng.chisquare(freedom, REPEATS) / freedom)
    values = rng.normal(MARGIN, 0.02, REPEATS)
    tested = [departure(*pair, MARGIN, signed, freedom) for pair in zip(values, errors, strict=True)]
    for p in ([t.within for t in tested], [t.beyond for t in tested]):
        assert at_least(LEVEL) <= share(np.array(p) <= LEVEL) <= at_most(LEVEL)


def test_a_margin_far_below_the_error_does_not_double_the_level() -> None:
    rng = np.random.default_rng(1)
    tested = [departure(value, 1.0, 1e-3) for value in rng.normal(0, 1, 4000)]
    assert share(t.beyond <= LEVEL for t in tested) <= at_most(LEVEL, 4000)
    assert share(t.within <= LEVEL for t in tested) == 0


def test_a_departure_that_would_be_found_is_found_as_often_as_the_power_says() -> None:
    size = departure(0.0, 0.02, MARGIN).found(0.01)
    rng = np.random.default_rng(2)
    found = share(departure(value, 0.02, MARGIN).beyond <= 0.01 for value in rng.normal(size, 0.02, REPEATS))
    assert at_least(POWER) <= found <= at_most(POWER)


@pytest.mark.parametrize("true", [0.02, 0.16])
def test_as_many_more_data_as_named_decide_with_the_power(true: float) -> None:
    more = departure(true, 0.05, MARGIN).times(LEVEL)
    assert 1 < more < 30
    rng = np.random.default_rng(3)
    error = 0.05 / np.sqrt(more)
    tested = [departure(value, error, MARGIN) for value in rng.normal(true, error, REPEATS)]
    decided = share((t.within if true < MARGIN else t.beyond) <= LEVEL for t in tested)
    assert at_least(POWER) <= decided <= at_most(POWER)


def test_a_test_that_can_only_confirm_never_refutes() -> None:
    assert departure(9.0, 0.1, MARGIN).beyond < 1e-9
    assert departure(9.0, 0.1, MARGIN, refutes=False).beyond == 1


# --- a root mean square --------------------------------------------------------------------------------------------

COVARIANCE = np.diag([0.05, 0.03, 0.02, 0.01]) ** 2


def measured(true: np.ndarray, seed: int) -> list[statistics.Tested]:
    rng = np.random.default_rng(seed)
    return [root_mean_square(v, COVARIANCE, MARGIN) for v in rng.multivariate_normal(true, COVARIANCE, REPEATS)]


@pytest.mark.parametrize("direction", [[1, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 1, -1, 0]])
def test_a_root_mean_square_at_its_margin_is_seldom_called_smaller_or_larger(direction: list[float]) -> None:
    true = MARGIN * np.sqrt(4) * np.array(direction) / np.linalg.norm(direction)
    tested = measured(true, 4)
    assert share(t.within <= LEVEL for t in tested) <= at_most(LEVEL)
    assert share(t.beyond <= LEVEL for t in tested) <= at_most(LEVEL)


def test_a_root_mean_square_that_would_be_found_is_found_where_it_is_hardest() -> None:
    size = root_mean_square(np.zeros(4), COVARIANCE, MARGIN).found(LEVEL)
    found = share(t.beyond <= LEVEL for t in measured(np.array([2 * size, 0, 0, 0]), 5))
    assert at_least(POWER) - 0.02 <= found <= at_most(POWER) + 0.02  # the draws are few


def test_a_small_root_mean_square_is_surely_small() -> None:
    assert share(t.within <= LEVEL for t in measured(np.zeros(4), 6)) > 0.9


def test_errors_larger_than_the_margin_confirm_nothing_however_small_the_root_mean_square() -> None:
    tested = root_mean_square(np.zeros(4), 100 * COVARIANCE, MARGIN)
    assert tested.within > 0.3
    assert tested.beyond > LEVEL


@pytest.mark.parametrize("true", [0.0, 0.2])
def test_as_many_more_data_as_named_decide_a_root_mean_square_with_the_power(true: float) -> None:
    wide = 16 * COVARIANCE
    seen = np.sqrt(true**2 + wide.trace() / 4)
    more = root_mean_square(np.full(4, seen), wide, MARGIN).times(LEVEL)
    assert 1.5 < more < 30
    rng = np.random.default_rng(22)
    values = rng.multivariate_normal([2 * true, 0, 0, 0], wide / more, REPEATS)
    tested = [root_mean_square(one, wide / more, MARGIN) for one in values]
    decided = share((t.within if true < MARGIN else t.beyond) <= LEVEL for t in tested)
    assert at_least(POWER) - 0.02 <= decided <= at_most(POWER) + 0.05  # the draws, and steps of `more`, are few


# --- many tests ----------------------------------------------------------------------------------------------------


def test_holm_rejects_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == [True, False, False, True]
    assert holm([0.02, 0.03]).tolist() == [True, True]
    assert holm([0.026, 0.03]).tolist() == [False, False]
    assert holm([]).tolist() == []


def test_holm_rejects_one_of_many_true_hypotheses_as_seldom_as_one_of_one() -> None:
    rng = np.random.default_rng(7)
    together = rng.uniform(size=(REPEATS, 30))
    alike = np.repeat(rng.uniform(size=(REPEATS, 1)), 30, axis=1)
    for p in (together, alike):
        assert share(holm(row).any() for row in p) <= at_most(LEVEL)


# --- bends ---------------------------------------------------------------------------------------------------------


def bent(share_of_rise: float, error: float, common: float, seed: int, points: int = 8) -> list[statistics.Tested]:
    """Tests of noisy lines in 1/T with a bow whose largest distance from their line is a share of their rise."""
    x = 1 / T[-points:]
    u = 2 * (x - x.min()) / np.ptp(x) - 1
    bow = u**2 - np.polynomial.polynomial.polyval(u, np.polynomial.polynomial.polyfit(u, u**2, 1))
    dense = np.linspace(-1, 1, 2001)
    line = np.polynomial.polynomial.polyval(dense, np.polynomial.polynomial.polyfit(u, u**2, 1))
    y = 1.0 - 2.0 * x + share_of_rise * 2.0 * np.ptp(x) * bow / np.abs(dense**2 - line).max()
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, np.hypot(error, common), (REPEATS, points))
    return [bend(x, y + one, np.full(points, error**2), 0.05).tested for one in noise]


@pytest.mark.parametrize(("error", "common", "points"), [(0.02, 0.0, 8), (0.005, 0.02, 8), (0.001, 0.01, 5)])
@pytest.mark.parametrize("share_of_rise", [0.0, 0.05, -0.05])
def test_a_bend_up_to_the_margin_is_seldom_called_larger(
    share_of_rise: float, error: float, common: float, points: int
) -> None:
    tested = bent(share_of_rise, error, common, 8, points)
    assert share(t.beyond <= LEVEL for t in tested) <= at_most(LEVEL)
    if share_of_rise:
        assert share(t.within <= LEVEL for t in tested) <= at_most(LEVEL)


def test_a_line_is_surely_straight_and_a_bow_is_surely_bent() -> None:
    assert share(t.within <= LEVEL for t in bent(0.0, 0.01, 0.0, 9)) > 0.95
    assert share(t.beyond <= LEVEL for t in bent(0.15, 0.01, 0.0, 10)) > 0.95
    clean = bent(0.15, 1e-6, 0.0, 11)[0]
    assert clean.value == pytest.approx(0.15, rel=1e-4)
    assert clean.error < 1e-4


def test_noise_hides_a_bend_and_calls_nothing() -> None:
    tested = bent(0.02, 0.3, 0.0, 12)
    assert share(min(t.within, t.beyond) > LEVEL for t in tested) > 0.9


def test_common_scatter_brings_the_squares_down_to_their_freedom() -> None:
    rng = np.random.default_rng(13)
    design = np.column_stack([np.ones(9), np.arange(9.0)])
    y = rng.normal(0, 3, 9)
    common = scatter(design, y, np.full(9, 0.1))
    assert common > 0
    assert least_squares(design, y, np.diag(np.full(9, 0.1 + common))).squares == pytest.approx(7, rel=1e-4)
    assert scatter(design, y, np.full(9, 100.0)) == 0


# --- one line ------------------------------------------------------------------------------------------------------


def groups(shift: Callable[[int, np.ndarray], np.ndarray], error: float, rng: np.random.Generator) -> list[Group]:
    """Five groups of five points about y = −1 + 2 x, shifted, over a scale that a group shares, with errors in x."""
    found = []
    for k in range(5):
        x = np.linspace(-6, -4.5, 5) + 0.2 * k
        y = -1 + 2 * x
        seen = y + shift(k, x) + rng.normal(0, error, 5)
        alone = Group(x + rng.normal(0, error / 2, 5), np.full(5, error / 2), seen, np.diag([*[error**2] * 5, 0]))
        found.append(over_a_scale(alone, error / 10, rng))
    return found


def over_a_scale(group: Group, error: float, rng: np.random.Generator) -> Group:
    """All points of a group over one number that is 1 within an error."""
    scale = rng.normal(1, error)
    covariance = group.covariance.copy()
    covariance[-1, -1] += error**2
    return Group(group.x, group.x_err, group.y / scale, covariance / scale**2)


def lines(
    shift: Callable[[int, np.ndarray], np.ndarray], error: float, seed: int, repeats: int = REPEATS
) -> list[OneLine]:
    rng = np.random.default_rng(seed)
    return [one_line(groups(shift, error, rng), MARGIN) for _ in range(repeats)]


def test_groups_on_one_line_are_told_apart_as_often_as_the_level_says() -> None:
    found = lines(lambda k, x: 0 * x, 0.05, 14)
    assert share(one.p <= LEVEL for one in found) <= at_most(LEVEL)
    assert share(one.apart.beyond <= LEVEL or one.bent.beyond <= LEVEL for one in found) == 0
    assert share(one.apart.within <= LEVEL and one.bent.within <= LEVEL for one in found) > 0.95
    slopes = [one.line.values[1] for one in found]
    errors = [np.sqrt(one.line.covariance[1, 1]) for one in found]
    assert np.mean(slopes) == pytest.approx(2, abs=0.02)
    assert np.std(slopes) == pytest.approx(np.mean(errors), rel=0.3)
    for tested in ([one.apart for one in found], [one.bent for one in found]):
        # errors that are widened by chance, never narrowed, are a tenth too large
        errors_alone = np.mean([t.error**2 for t in tested])
        assert 0.8 * errors_alone < np.mean([t.value**2 for t in tested]) < errors_alone


def test_errors_along_x_count_as_errors_along_y_times_the_slope() -> None:
    def error(x_err: float, y_err: float) -> float:
        x = np.linspace(-6, -4.5, 5)
        given = Group(x, np.full(5, x_err), -1 + 2 * x, np.diag([*[y_err**2] * 5, 0]))
        return float(np.sqrt(one_line([given, given], MARGIN).line.covariance[1, 1]))

    assert error(0.02, 0.03) == pytest.approx(error(0.0, 0.05))


def test_the_line_through_the_points_counts_them_all_alike() -> None:
    x = np.linspace(-6, -4.5, 5)

    def group(above: float, error: float) -> Group:
        return Group(x, np.full(5, error), -1 + 2 * x + above, error**2 * np.diag([1.0, 1, 1, 1, 1, 0]))

    found = one_line([group(1.0, 0.1), group(-1.0, 0.4)], MARGIN)
    np.testing.assert_allclose(found.through, [-1, 2])
    assert found.deviation == pytest.approx(1)
    # the likeliest is closer to what is known better
    assert found.line.values[0] > -0.5


def test_groups_apart_by_the_margin_are_seldom_called_closer_or_farther() -> None:
    def shift(k: int, x: np.ndarray) -> np.ndarray:
        return size * np.array([1, -2, 1, 1, -1])[k] + 0 * x

    size = 1.0
    exact = lines(shift, 1e-6, 15, repeats=1)[0]
    size = MARGIN / exact.apart.value
    for _ in range(3):  # the range of y grows with the shift
        size *= MARGIN / lines(shift, 1e-6, 15, repeats=1)[0].apart.value
    found = lines(shift, 0.1, 16)
    assert share(one.apart.beyond <= LEVEL for one in found) <= at_most(LEVEL)
    assert share(one.apart.within <= LEVEL for one in found) <= at_most(LEVEL)


def test_what_the_f_test_finds_is_found_as_often_as_it_says() -> None:
    rise = np.ptp(np.concatenate([group.y for group in groups(lambda k, x: 0 * x, 1e-6, np.random.default_rng(22))]))
    size = rise * np.median([one.differ.found(LEVEL) for one in lines(lambda k, x: 0 * x, 0.1, 22)])
    found = [
        share(one.p <= LEVEL for one in lines(lambda j, x, k=k: size * (j == k) + 0 * x, 0.1, 23)) for k in range(5)
    ]
    assert min(found) == pytest.approx(POWER, abs=0.1)


def test_what_the_f_test_finds_is_no_line_unless_it_is_surely_one_within_the_margin() -> None:
    for error in (0.02, 0.1, 0.5):
        for one in lines(lambda k, x: 0.2 * (-1) ** k + 0 * x, error, 24, repeats=10):
            assert one.differ.beyond == (1.0 if one.apart.within <= LEVEL else one.p)


def test_groups_far_apart_and_bent_ones_are_refuted() -> None:
    apart = lines(lambda k, x: 1.5 * (-1) ** k + 0 * x, 0.05, 17, repeats=20)
    assert all(one.apart.beyond <= LEVEL and one.p < 1e-6 for one in apart)
    bow = lines(lambda k, x: 2.0 * (x + 5) ** 2, 0.02, 18, repeats=20)
    assert all(one.bent.beyond <= LEVEL for one in bow)


def test_groups_of_other_slopes_are_apart() -> None:
    tilted = lines(lambda k, x: 3.0 * (-1) ** k * (x - x.mean()), 0.02, 19, repeats=20)
    assert all(one.apart.beyond <= LEVEL for one in tilted)


def test_noise_leaves_one_line_open() -> None:
    found = lines(lambda k, x: 0 * x, 1.0, 20, repeats=40)
    assert share(one.apart.beyond <= LEVEL or one.apart.within <= LEVEL for one in found) < 0.2


def test_a_scale_that_the_strata_of_a_group_share_moves_no_verdict() -> None:
    """Without the correlations, a common factor of all strata of a group looks like a line of its own."""
    rng = np.random.default_rng(21)
    with_, without = [], []
    for _ in range(100):
        given = groups(lambda k, x: 0 * x, 0.05, rng)
        shaken = [over_a_scale(g, 0.1, rng) for g in given]
        with_.append(one_line(shaken, MARGIN).p)
        alone = [Group(g.x, g.x_err, g.y, h.covariance) for g, h in zip(shaken, given, strict=True)]
        without.append(one_line(alone, MARGIN).p)
    assert share(p <= LEVEL for p in with_) <= at_most(LEVEL, 100)
    assert share(p <= LEVEL for p in without) > 0.5


def test_a_scale_known_to_a_fifth_draws_the_line_nowhere() -> None:
    """Peelle's puzzle: errors that are relative to the points draw it to zero, by twice its error."""
    rng = np.random.default_rng(22)
    found = [
        one_line([over_a_scale(g, 0.2, rng) for g in groups(lambda k, x: 0 * x, 0.02, rng)], MARGIN).line
        for _ in range(REPEATS)
    ]
    apart = np.array([(line.values - [-1, 2]) / np.sqrt(line.covariance.diagonal()) for line in found])
    assert (abs(apart.mean(axis=0)) < 0.2).all()
    assert (abs(apart.std(axis=0) - 1) < 0.15).all()
