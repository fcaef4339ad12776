"""Jackknife errors, against closed forms and against the scatter of samples."""

import numpy as np
import pytest

from daskglass.physics.jackknife import jackknife_error


def test_the_error_of_a_mean_is_that_of_the_textbook():
    x = np.random.default_rng(0).normal(size=(20, 1))
    units = np.column_stack([x, np.ones(20)])
    error = jackknife_error(lambda sums: sums[..., 0] / sums[..., 1], units)
    assert float(error) == pytest.approx(x.std(ddof=1) / np.sqrt(20))


@pytest.mark.parametrize("sizes", [(10, 10), (2, 2, 2, 2), (3, 20)])
def test_units_vary_about_the_mean_of_their_own_group(sizes):
    rng = np.random.default_rng(1)
    groups = [rng.normal(100 * k, 1, (n, 1)) for k, n in enumerate(sizes)]
    error = jackknife_error(lambda sums: sums[..., 0], *groups)
    assert float(error) == pytest.approx(np.sqrt(sum(len(group) * group.var(ddof=1) for group in groups)))


def test_the_error_of_a_ratio_is_its_scatter():
    def drawn(seed):
        samples = np.random.default_rng(seed).poisson(50, size=(40, 1))
        return np.column_stack([np.random.default_rng([seed, 1]).binomial(samples, 0.2), samples])

    def ratio(sums):
        return sums[..., 0] / sums[..., 1]

    values = [ratio(drawn(seed).sum(axis=0)) for seed in range(300)]
    errors = [jackknife_error(ratio, drawn(seed)) for seed in range(300)]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)


def test_one_unit_has_no_error():
    assert np.isnan(jackknife_error(lambda sums: sums[..., 0], np.ones((1, 2))))
