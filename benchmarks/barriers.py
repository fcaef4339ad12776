"""The bootstrap of the barriers, at the size of the paper, against a loop over resamples."""

import itertools

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
STEP = 1e-6  # of what barriers move by


def rows() -> list[Row]:
    """Time both, which must agree."""
    counts = counted()
    xr.testing.assert_allclose(dg.bootstrap(counts, RESAMPLES, 0, BLOCK), one_by_one(counts), rtol=1e-6)
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
    frames = counts.sizes["time"]
    number = max(frames // block, 1)
    of_block = np.searchsorted(frames * np.arange(1, number + 1) // number, np.arange(frames), "right")
    blocks = existing_counts(counts).assign_coords(time=of_block).groupby("time").sum()
    blocks = blocks.stack(unit=("replica", "time"), create_index=False).transpose(..., "temperature", "unit", "stratum")
    n, temperatures = blocks.sizes["unit"], blocks.sizes["temperature"]
    draws = np.random.default_rng(seed).integers(n, size=(resamples, temperatures, n - 1))
    drawn = [
        probability_of(blocks.isel(unit=xr.DataArray(units, dims=("temperature", "unit"))).sum("unit"))
        for units in draws
    ]
    of_blocks = xr.concat([P["probability"] for P in drawn], "resample").std("resample", ddof=1)
    P = probability_of(blocks.sum("unit"))
    counting = np.sqrt(P["probability"] * (1 - P["probability"]) / P["samples"])
    P_err = of_blocks.where(~(of_blocks < counting), counting)
    happened = P["events"] > 0
    error = (P_err / P["probability"]).where(happened)
    error = error.where(error > 1e-12, 1 / np.sqrt(P["events"].where(happened)))
    energy, entropy, weight, rest = _lines(np.log(P["probability"].where(happened)), error)
    fit = _barriers(energy, entropy)
    lacking = (np.sqrt(P_err**2 - of_blocks**2) / P["probability"]).fillna(0).transpose(..., "stratum", "temperature")
    lines = []
    shared, own = (np.random.default_rng([seed, stream]) for stream in (1, 2))
    for each in drawn:
        z = xr.DataArray(shared.standard_normal(temperatures), dims="temperature")
        noise = xr.DataArray(own.standard_normal(lacking.shape[-2:]), dims=("stratum", "temperature"))
        y = np.log(each["probability"].where(each["events"] > 0)) + rest * z + noise * lacking
        lines.append(_barriers(*_weighted_lines(y, weight)))
    moved = xr.concat(lines, "resample") - fit
    relative = xr.concat([each["probability"] / P["probability"] for each in drawn], "resample").where(happened)
    ratios = relative.isel(stratum=-1, drop=True) - relative.isel(stratum=0, drop=True)
    outer = P.isel(stratum=[0, -1] if P.sizes["stratum"] > 1 else [], drop=True)
    floor = np.sqrt(
        ((1 - outer["probability"]) / outer["events"].where(outer["events"] > 0)).sum("stratum", skipna=False)
    )
    inverse_onset = _inverse_onset(xr.concat(lines, "resample"))
    follows = _to_first_order(fit, moved, inverse_onset - _inverse_onset(fit))
    names = ["onset_temperature", "scaled_entropy", "scaled_energy"]
    spread = xr.merge([moved, follows[names]], join="exact").std("resample", ddof=1)
    apart = ratios.std("resample", ddof=1)
    spread = spread.assign(probability=P_err, spread=apart.where(~(apart < floor), floor))
    covariances = {}
    for name, barrier in (("scaled_entropy", "activation_entropy"), ("scaled_energy", "reduced_energy")):
        terms = xr.concat(
            [follows[barrier].drop_vars("stratum", errors="ignore"), follows["scale"].expand_dims(stratum=1, axis=-1)],
            "stratum",
        )
        terms = terms.rename(stratum="term") / _scaled(fit, _inverse_onset(fit))["scale"]
        one, another = (each - each.mean("resample") for each in (terms, terms.rename(term="term_2")))
        both = (one * another).notnull().sum("resample")
        covariances[f"{name}_terms_cov"] = (one * another).sum("resample") / (both - 1).where(both > 1)
    spread = spread.rename({name: f"{name}_err" for name in spread.data_vars})
    return spread.assign({**covariances, "inverse_onset_temperature": inverse_onset})


def _barriers(energy: xr.DataArray, entropy: xr.DataArray) -> xr.Dataset:
    return xr.Dataset({"activation_energy": energy, "activation_entropy": entropy})


def _inverse_onset(fit: xr.Dataset) -> xr.DataArray:
    """1/T_A, also where it is negative."""

    def inverse(energy: NDArray[np.float64], entropy: NDArray[np.float64]) -> float:
        pairs = itertools.combinations(range(energy.size), 2)
        x = np.array([(entropy[i] - entropy[j]) / (energy[i] - energy[j]) for i, j in pairs if energy[i] != energy[j]])
        x = x[np.isfinite(x)]
        if x.size == 0:
            return np.nan
        low, middle, high = np.percentile(x, [10, 50, 90])
        return float(x[abs(x - middle) <= high - low].mean())

    barriers = fit["activation_energy"], fit["activation_entropy"]
    found: xr.DataArray = xr.apply_ufunc(inverse, *barriers, input_core_dims=[["stratum"]] * 2, vectorize=True)
    return found


def _scaled(fit: xr.Dataset, inverse_onset: xr.DataArray) -> xr.Dataset:
    """T_A, the scaled barriers, and what they are ratios of: Σ, ΔE/T_A and ln P_R(T_A)."""
    onset = 1 / inverse_onset.where(inverse_onset > 0)
    scaled = dg.collapse(fit, onset)
    scale = np.log(scaled["onset_probability"])
    scaled = scaled.assign(scale=scale.where(np.isfinite(scale)), onset_temperature=onset)
    return scaled.assign(activation_entropy=fit["activation_entropy"], reduced_energy=fit["activation_energy"] / onset)


def _to_first_order(fit: xr.Dataset, moved: xr.Dataset, inverse_onset_moved: xr.DataArray) -> xr.Dataset:
    """What follows from barriers and 1/T_A moves by the slope of a short step the same way."""
    inverse_onset = _inverse_onset(fit)
    ahead, behind = (_scaled(fit + step * moved, inverse_onset + step * inverse_onset_moved) for step in (STEP, -STEP))
    found = (ahead - behind) / (2 * STEP)
    lost = (moved.isnull() & fit.notnull()).any("stratum")
    return found.where(~lost["activation_energy"] & found["scale"].notnull()).assign(
        onset_temperature=found["onset_temperature"]
    )


def _weighted_lines(y: xr.DataArray, weight: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """ΔE and Σ of each stratum."""
    x = 1 / y["temperature"].values

    def line(y: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
        known = np.isfinite(y) & (weight > 0)
        if known.sum() < 2:
            return np.nan, np.nan
        slope, intercept = np.polyfit(x[known], y[known], 1, w=np.sqrt(weight[known]))
        return -slope, intercept

    axes = [["temperature"], ["temperature"]]
    return xr.apply_ufunc(line, y, weight, input_core_dims=axes, output_core_dims=[[], []], vectorize=True)


def _lines(y: xr.DataArray, error: xr.DataArray) -> tuple[xr.DataArray, ...]:
    """ΔE and Σ of each stratum, the weights, and the distances from the line times the share of the common scatter."""
    x = 1 / y["temperature"].values

    def line(
        y: NDArray[np.float64], error: NDArray[np.float64]
    ) -> tuple[float, float, NDArray[np.float64], NDArray[np.float64]]:
        known = np.isfinite(y)
        freedom = known.sum() - 2
        weight, share = np.zeros((2, y.size))
        if freedom < 0:
            return np.nan, np.nan, weight, share

        def fit(s2: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            line = np.polyfit(x[known], y[known], 1, w=1 / np.sqrt(error[known] ** 2 + s2))
            return line, y[known] - np.polyval(line, x[known])

        def excess(s2: float) -> float:
            return float((fit(s2)[1] ** 2 / (error[known] ** 2 + s2)).sum() - freedom)

        s2 = 0.0
        if freedom > 0 and excess(0.0) > 0:
            s2 = scipy.optimize.brentq(excess, 0.0, 10 * y[known].var() + 1.0, xtol=1e-17, rtol=1e-15)
        (slope, intercept), rest = fit(s2)
        weight[known] = 1 / (error[known] ** 2 + s2)
        share[known] = rest * np.sqrt(s2 * weight[known] * (freedom + 2) / max(freedom, 1))
        return -slope, intercept, weight, share

    axes = [["temperature"], ["temperature"]]
    found: tuple[xr.DataArray, ...] = xr.apply_ufunc(
        line, y, error, input_core_dims=axes, output_core_dims=[[], [], *axes], vectorize=True
    )
    return found


if __name__ == "__main__":
    rows()
