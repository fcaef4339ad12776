"""The bootstrap of the barriers, at the size of the paper, against a loop over resamples."""

import numpy as np
import xarray as xr

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
    """Errors as `dg.bootstrap` gives them, of counts in the order of their labels: all functions on each resample."""
    blocks = existing_counts(counts).coarsen(time=block, boundary="pad").sum()
    blocks = blocks.stack(unit=("replica", "time"), create_index=False)
    n = blocks.sizes["unit"]
    draws = np.random.default_rng(seed).integers(n, size=(resamples, blocks.sizes["temperature"], n))
    drawn = []
    for units in draws:
        P = probability_of(blocks.isel(unit=xr.DataArray(units, dims=("temperature", "unit"))).sum("unit"))
        fit = dg.arrhenius(P)
        onset = dg.onset_temperature(fit).reset_coords(drop=True)
        scaled = dg.collapse(fit, onset).drop_vars("onset_probability")
        drawn.append(xr.merge([P["probability"], fit[["activation_energy", "activation_entropy"]], onset, scaled]))
    spread = xr.concat(drawn, "resample").std("resample", ddof=1)
    return spread.rename({name: f"{name}_err" for name in spread.data_vars})


if __name__ == "__main__":
    rows()
