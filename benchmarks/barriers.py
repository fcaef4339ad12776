"""The bootstrap of the barriers, at the size of the paper, against a loop over resamples."""

import numpy as np
import scipy.optimize
import xarray as xr
from numpy.typing import NDArray

import daskglass as dg
from benchmarks.timing import Row, compare
from daskglass.physics.strata import existing_counts, probability_of

TEMPERATURES, REPLICAS, FRAMES, STRATA = 20, 3, 101, 5
RESAMPLES, BLOCK = 200, 10
PARTICLES = 650  # of a stratum


def rows() -> list[Row]:
    """Time both, which must agree."""
    counts = counted()
    xr.testing.assert_allclose(dg.bootstrap(counts, RESAMPLES, 0, BLOCK), one_by_one(counts), rtol=1e-12)
    return compare(
        f"errors of barriers, {RESAMPLES} resamples",
        lambda: dg.bootstrap(counts, RESAMPLES, 0, BLOCK),
        {"a loop over the functions of one resample": (lambda: one_by_one(counts), 50)},
    )


def counted() -> xr.Dataset:
    """Samples and events of strata that meet at T = 0.87, where 0.3 of each rearrange."""
    T = np.linspace(0.45, 0.83, TEMPERATURES)
    energy = np.linspace(6.0, 2.0, STRATA)
    P = 0.3 * np.exp(energy / 0.87 - energy / T[:, None])
    shape = (TEMPERATURES, REPLICAS, FRAMES, STRATA)
    events = np.random.default_rng(0).binomial(PARTICLES, np.broadcast_to(P[:, None, None, :], shape))
    dims = ("temperature", "replica", "time", "stratum")
    return xr.Dataset({"samples": (dims, np.full(shape, PARTICLES)), "events": (dims, events)}, {"temperature": T})


def one_by_one(counts: xr.Dataset, resamples: int = RESAMPLES, seed: int = 0, block: int = BLOCK) -> xr.Dataset:
    """Errors as `dg.bootstrap` gives them, of counts in the order of their labels: one resample and one line at a time."""
    blocks = existing_counts(counts).coarsen(time=block, boundary="pad").sum()
    blocks = blocks.stack(unit=("replica", "time"), create_index=False).transpose(..., "temperature", "unit", "stratum")
    n, temperatures = blocks.sizes["unit"], blocks.sizes["temperature"]
    draws = np.random.default_rng(seed).integers(n, size=(resamples, temperatures, n))
    drawn = [
        probability_of(blocks.isel(unit=xr.DataArray(units, dims=("temperature", "unit"))).sum("unit"))
        for units in draws
    ]
    P_err = xr.concat([P["probability"] for P in drawn], "resample").std("resample", ddof=1)
    P = probability_of(blocks.sum("unit"))
    happened = P["events"] > 0
    error = (P_err / P["probability"]).where(happened)
    error = error.where(error > 1e-12, 1 / np.sqrt(P["events"].where(happened)))
    energy, entropy, rest = _lines(np.log(P["probability"].where(happened)), error)
    barriers = [_scaled(energy, entropy)]
    for P, z in zip(drawn, np.random.default_rng([seed, 1]).standard_normal((resamples, temperatures)), strict=True):
        y = np.log(P["probability"].where(P["events"] > 0)) + rest * xr.DataArray(z, dims="temperature")
        energy, entropy, _ = _lines(y, error)
        barriers.append(_scaled(energy, entropy))
    all_counts, *resampled = barriers
    values = xr.concat(resampled, "resample")
    outer = [np.log(P["probability"].where(P["events"] > 0).isel(stratum=[-1, 0], drop=True)) for P in drawn]
    ratios = xr.concat(
        [each.isel(stratum=0, drop=True) - each.isel(stratum=1, drop=True) for each in outer], "resample"
    )
    spread = values.std("resample", ddof=1).assign(probability=P_err, spread=ratios.std("resample", ddof=1))
    spread = spread.drop_vars(["reduced_energy", "scale"])
    covariances, scale = {}, all_counts["scale"]
    for name, barrier in (("scaled_entropy", "activation_entropy"), ("scaled_energy", "reduced_energy")):
        y = all_counts[barrier] / scale
        # the differential of barrier/scale
        apart = (values[barrier] - all_counts[barrier] - y * (values["scale"] - scale)) / scale
        spread[name] = apart.std("resample", ddof=1)
        scaled = values[barrier].where(values["scale"].notnull())
        terms = xr.concat(
            [scaled.drop_vars("stratum", errors="ignore"), values["scale"].expand_dims(stratum=1, axis=-1)], "stratum"
        )
        terms = terms.rename(stratum="term") / scale
        one, another = (each - each.mean("resample") for each in (terms, terms.rename(term="term_2")))
        both = (one * another).notnull().sum("resample")
        covariances[f"{name}_terms_cov"] = (one * another).sum("resample") / (both - 1).where(both > 1)
    return spread.rename({name: f"{name}_err" for name in spread.data_vars}).assign(covariances)


def _scaled(energy: xr.DataArray, entropy: xr.DataArray) -> xr.Dataset:
    """Barriers of the strata, T_A, and what the scaled barriers are ratios of: Σ, ΔE/T_A and ln P_R(T_A)."""
    fit = xr.Dataset({"activation_energy": energy, "activation_entropy": entropy})
    onset = dg.onset_temperature(fit).reset_coords(drop=True)
    scale = np.log(dg.collapse(fit, onset)["onset_probability"])
    return fit.assign(onset_temperature=onset, reduced_energy=energy / onset, scale=scale)


def _lines(y: xr.DataArray, error: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """ΔE and Σ of each stratum, and the distances from the line times the share that the common scatter has in them."""
    x = 1 / y["temperature"].values

    def line(y: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[float, float, NDArray[np.float64]]:
        known = np.isfinite(y)
        freedom = known.sum() - 2
        none = np.zeros(y.size)
        if freedom < 0:
            return np.nan, np.nan, none

        def fit(s2: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            line = np.polyfit(x[known], y[known], 1, w=1 / np.sqrt(error[known] ** 2 + s2))
            return line, y[known] - np.polyval(line, x[known])

        def excess(s2: float) -> float:
            return float((fit(s2)[1] ** 2 / (error[known] ** 2 + s2)).sum() - freedom)

        s2 = 0.0
        if freedom > 0 and excess(0.0) > 0:
            s2 = scipy.optimize.brentq(excess, 0.0, 10 * y[known].var() + 1.0, xtol=1e-17, rtol=1e-15)
        (slope, intercept), rest = fit(s2)
        none[known] = rest * np.sqrt(s2 / (error[known] ** 2 + s2) * (freedom + 2) / max(freedom, 1))
        return -slope, intercept, none

    axes = [["temperature"], ["temperature"]]
    fitted = xr.apply_ufunc(
        line, y, error, input_core_dims=axes, output_core_dims=[[], [], ["temperature"]], vectorize=True
    )
    return fitted


if __name__ == "__main__":
    rows()
