"""Receiver operating curves against scikit-learn, and the error of their area against the scatter of samples."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

import daskglass as dg
from daskglass.errors import DataError

AXES = ("replica", "time", "particle")


def moving(seed=0, shift=1.0, shape=(3, 20, 40), dims=AXES, memory=1):
    """A variable of unit variance, higher by `shift` where p_hop exceeds 0.2; the same for `memory` frames."""
    rng = np.random.default_rng(seed)
    shape = (*shape[:-2], shape[-2] // memory, shape[-1])
    R = rng.random(shape) < 0.2
    S = rng.normal(0, 1, shape) + shift * R
    return (xr.DataArray(each.repeat(memory, axis=-2), dims=dims) for each in (S, np.where(R, 0.5, 0.1)))


def test_area_and_curve_are_those_of_scikit_learn():
    S, hop = moving()
    # many are equal
    S = S.round(1)
    curve = dg.receiver_operating_curve(S, hop)
    R = hop.values.ravel() > 0.2
    assert curve.area.item() == pytest.approx(roc_auc_score(R, S.values.ravel()), rel=1e-12)
    false, true, _ = roc_curve(R, S.values.ravel(), drop_intermediate=False)
    np.testing.assert_allclose(curve.true_positive_rate, np.interp(curve.false_positive_rate, false, true), rtol=1e-12)
    assert (curve.rearranging, curve.samples) == (R.sum(), R.size)


def test_the_area_of_two_gaussians_is_what_their_distance_says():
    for shift in (0.0, 0.5, 2.0):
        curve = dg.receiver_operating_curve(*moving(1, shift))
        assert abs(curve.area - norm.cdf(shift / np.sqrt(2))) < 4 * curve.area_err


def test_a_variable_that_falls_or_any_that_rises_with_another():
    S, hop = moving()
    area = dg.receiver_operating_curve(S, hop).area
    np.testing.assert_allclose(dg.receiver_operating_curve(-S, hop).area, 1 - area)
    np.testing.assert_allclose(dg.receiver_operating_curve(np.exp(S), hop).area, area)
    assert dg.receiver_operating_curve(hop, hop).area == 1
    assert dg.receiver_operating_curve(xr.zeros_like(S), hop).area == 0.5


@pytest.mark.parametrize("memory", [1, 5])
def test_the_error_is_the_scatter_of_samples_where_blocks_are_as_long_as_memory(memory):
    curves = [dg.receiver_operating_curve(*moving(k, memory=memory), block=5) for k in range(60)]
    scatter = np.std([curve.area for curve in curves])
    assert np.mean([curve.area_err for curve in curves]) == pytest.approx(scatter, rel=0.25)


def test_the_error_leaves_out_blocks_of_each_replica():
    S, hop = moving(shape=(2, 7, 40))
    curve = dg.receiver_operating_curve(S, hop, block=3)
    left = []
    for replica in range(2):
        for frames in ([0, 1, 2], [3, 4, 5], [6]):
            kept = hop.copy()
            kept[{"replica": replica, "time": frames}] = np.nan
            left.append(dg.receiver_operating_curve(S, kept).area)
    assert curve.area_err.item() == pytest.approx(np.sqrt(5 * np.var(left)))
    assert np.isnan(dg.receiver_operating_curve(S[0, 0], hop[0, 0]).area_err)


def test_what_is_missing_is_left_out():
    S, hop = moving()
    gone = S.where(S.replica != 1).where(S.particle != 3)
    kept = dg.receiver_operating_curve(S.drop_isel(replica=1, particle=3), hop.drop_isel(replica=1, particle=3))
    xr.testing.assert_allclose(dg.receiver_operating_curve(gone, hop), kept)
    for hops in (hop * 0, hop * 0 + 1, hop * np.nan):
        nothing = dg.receiver_operating_curve(S, hops)
        assert nothing[["area", "area_err", "true_positive_rate"]].to_array().isnull().all()


def test_temperatures_have_curves_of_their_own_lazily():
    S, hop = moving(shape=(4, 3, 20, 40), dims=("temperature", *AXES))
    curve = dg.receiver_operating_curve(S, hop, block=4)
    lazy = dg.receiver_operating_curve(S.chunk(time=3), hop.chunk(temperature=1, time=5), block=4)
    assert lazy.area.chunks is not None
    xr.testing.assert_identical(lazy.compute(), curve)
    xr.testing.assert_identical(
        curve.isel(temperature=2),
        dg.receiver_operating_curve(S.isel(temperature=2), hop.isel(temperature=2), block=4),
    )
    one = dg.receiver_operating_curve(S.isel(temperature=0, time=0), hop)
    assert one.samples.dims == ("temperature",)


def test_numbers_that_are_none_are_refused():
    S, hop = moving()
    with pytest.raises(DataError, match="block must be a whole number"):
        dg.receiver_operating_curve(S, hop, block=0)
    with pytest.raises(DataError, match="threshold must be"):
        dg.receiver_operating_curve(S, hop, threshold="0.2")
    with pytest.raises(DataError, match="particle differs: S has 40, hop has 39"):
        dg.receiver_operating_curve(S, hop.isel(particle=slice(39)))
