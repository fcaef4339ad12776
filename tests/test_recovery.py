"""What a study finds is what its data were made of: drawn with the counts and correlations of the reference.

The tables of docs/validation say how many particles each stratum has, how much its P_R varies beyond counting, how much
of that all strata have in common, and how far temperatures lie from the line. Run by `make validate`.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from daskglass.physics.barriers import scaled_barriers
from daskglass.physics.blocks import block_count
from daskglass.physics.jackknife import jackknife_error
from daskglass.report.chance import lines_freedom, student_sigma
from daskglass.report.claims.one_line import APART
from daskglass.report.fits import Group, one_line
from daskglass.report.results import unknown_onset
from daskglass.report.statistics import LEVEL
from daskglass.stages.barriers import fit_barriers
from daskglass.stages.correlation import pearson_of
from daskglass.stages.ensemble import block_frames
from daskglass.stages.structural import OF_PAPER
from daskglass.store.blocks import write_table
from daskglass.store.tables import Tables, read_tables

REFERENCE = Path(__file__).parents[1] / "docs/validation"
DRAWS, RESAMPLES = 400, 100
WINDOW = 10  # frames, of a hop
SIGMAS = 2.0
# of the draws: two errors hold 95 %, give or take 1 % by chance, of errors known to a few percent
COVERED = 0.90
FALSE_ALARMS = 0.07  # of the F test at 5 %, give or take 1 % by chance
TIMID = 0.25  # of an error: by how much what is found differs from the truth, at least
SLOPE, INTERCEPT = 2.5, 9.0  # of the line on which all systems are made to lie, as the reference has it


class Truth:
    """What a system is made of: lines of its strata that meet in one point, and what the reference says of their noise."""

    def __init__(self, tables: Tables, variable: str) -> None:
        table = tables.ensemble.sel(variable=variable)
        self.T = table["temperature"].values.astype(np.float64)
        self.energy = table["activation_energy"].values.astype(np.float64)
        self.onset = float(table["onset_temperature"])
        at_onset = float(np.log(table["onset_probability"]))
        self.entropy = at_onset + self.energy / self.onset
        self.frames, self.replicas = table.sizes["time"], table.sizes["replica"]
        self.relaxation_time = table["relaxation_time"]
        # frames of a block repeat one another
        self.blocks = blocks_of(tables.ensemble)
        P = np.exp(self.entropy - self.energy / self.T[:, None])
        measured = table["probability"].values
        # above the onset, where no law holds, as measured
        self.P = np.where(self.T[:, None] < self.onset, P, measured)
        self.samples = np.maximum(table["samples"].values // (self.frames * self.replicas), 1)
        # what ln P_R of a temperature departs from the law by, in all of its frames
        self.scatter = np.where(self.T[:, None] < self.onset, np.nan_to_num(table["scatter"].values), 0.0)
        relative = table["probability_err"].values / measured
        counting = (1 - self.P) / (self.samples * self.frames * self.replicas * self.P)
        # of one unit, beyond what counting makes
        self.noise = np.sqrt(np.maximum(relative**2 - counting, 0.0) * self.replicas * self.blocks[:, None])
        first, last = relative[:, 0], relative[:, -1]
        shared = (first**2 + last**2 - table["spread_err"].values ** 2) / (2 * first * last)
        self.shared = np.clip(np.where(np.isfinite(shared), shared, 0.0), 0.0, 1.0)[:, None, None, None]

    def counts(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Samples and events (temperature, replica, time, stratum)."""
        shape = (self.T.size, self.replicas, self.blocks.max(), self.energy.size)
        z = np.sqrt(self.shared) * rng.standard_normal((*shape[:-1], 1))
        z = z + np.sqrt(1 - self.shared) * rng.standard_normal(shape)
        noise = self.noise[:, None, None, :]
        law = self.P * np.exp(self.scatter * rng.standard_normal((self.T.size, 1)))
        P = np.minimum(law[:, None, None, :] * np.exp(noise * z - noise**2 / 2), 1.0)
        samples = np.broadcast_to(self.samples[:, None, None, :], (*shape[:2], self.frames, shape[-1]))
        events = np.stack([
            events_of_frames(rng, self.samples[T], P[T, :, :n], self.frames) for T, n in enumerate(self.blocks.tolist())
        ])  # fmt: skip
        return samples, events


def blocks_of(ensemble: xr.Dataset) -> NDArray[np.int64]:
    """Number of blocks of time (temperature,) of each replica of a study."""
    time = ensemble["time"].values
    return block_count(time.size, block_frames(WINDOW, ensemble["relaxation_time"], time).values)


def block_of_frame(frames: int, blocks: int) -> NDArray[np.intp]:
    """Block that each frame is in."""
    return np.searchsorted(frames * np.arange(1, blocks + 1) // blocks, np.arange(frames), "right")


def events_of_frames(
    rng: np.random.Generator, samples: NDArray[np.int64], P: NDArray[np.float64], frames: int
) -> NDArray[np.int64]:
    """Events (replica, time, stratum) of blocks (replica, block, stratum), drawn for a block and shared out among its frames."""
    of_frame = block_of_frame(frames, P.shape[1])
    length = np.bincount(of_frame)
    events = rng.binomial(samples * length[:, None], P)
    place = (np.arange(frames) - np.searchsorted(of_frame, of_frame))[:, None]
    whole, more = (each[:, of_frame] for each in np.divmod(events, length[:, None]))
    return whole + (place < more)


def ensemble_of(truths: dict[str, Truth], rng: np.random.Generator) -> xr.Dataset:
    """What a study holds before its barriers: the same strata for every candidate of the range."""
    first = next(iter(truths.values()))
    samples, events = (np.stack(each) for each in zip(*(truth.counts(rng) for truth in truths.values()), strict=True))
    k = first.T.size
    dims = ("variable", "temperature", "replica", "candidate", "time", "stratum")

    def in_candidates(counts: NDArray[np.int64]) -> xr.Variable:
        return xr.Variable(dims, np.repeat(counts[:, :, :, None], k, axis=3))

    edges = np.broadcast_to(np.arange(samples.shape[-1] + 1.0), (len(truths), k, samples.shape[-1] + 1))
    return xr.Dataset(
        {
            "candidate_samples": in_candidates(samples),
            "candidate_events": in_candidates(events),
            "candidate_edges": (("variable", "candidate", "edge"), edges),
            "relaxation_time": first.relaxation_time.reset_coords(drop=True),
        },
        {
            "variable": list(truths), "temperature": first.T, "replica": np.arange(first.replicas),
            "time": np.arange(float(first.frames)),
        },
    )  # fmt: skip


def pulls(
    found: xr.DataArray | float, error: xr.DataArray | float, truth: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Distances from the truth in errors."""
    return np.atleast_1d((np.asarray(found) - truth) / np.asarray(error))


def assert_honest(apart: dict[str, list[NDArray[np.float64]]]) -> None:
    """Errors are neither too small nor far too large."""
    covered = {name: float(np.mean(np.abs(np.concatenate(each)) <= SIGMAS)) for name, each in apart.items()}
    # what a draw does not find is not covered, and has no distance
    spread = {name: float(np.sqrt(np.nanmean(np.concatenate(each) ** 2))) for name, each in apart.items()}
    print(
        "\n".join(
            f"{name}: {share:.1%} of {len(apart[name])}, rms {spread[name]:.2f} errors"
            for name, share in covered.items()
        )
    )
    assert min(covered.values()) >= COVERED
    assert min(spread.values()) >= TIMID


@pytest.mark.validate
def test_lines_onsets_and_the_collapse_are_found_again_within_their_errors(tmp_path: Path) -> None:
    reference = read_tables(REFERENCE)
    truths = {
        system: {variable.name: Truth(tables, variable.name) for variable in OF_PAPER}
        for system, tables in reference.items()
    }
    apart: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    chance: list[float] = []
    for draw in range(DRAWS):
        groups = []
        for number, (system, of_system) in enumerate(truths.items()):
            rng = np.random.default_rng([draw, number])
            write_table(tmp_path / f"{draw}.zarr", f"{system}/ensemble", ensemble_of(of_system, rng))
            fits = fit_barriers(
                tmp_path / f"{draw}.zarr", system, hottest=None, weights="scatter", resamples=RESAMPLES, seed=draw,
                window=float(WINDOW),
            )  # fmt: skip
            for name, truth in of_system.items():
                fit = fits.sel(variable=name)
                freedom = lines_freedom(int(fit["supercooled"]))
                for quantity in ("energy", "entropy"):
                    found = fit[f"activation_{quantity}"], fit[f"activation_{quantity}_err"]
                    t = pulls(*found, getattr(truth, quantity))
                    apart[f"{system} {name} {quantity}"].append(student_sigma(t, freedom))
                # of strata that meet nowhere the page says that they have none
                if np.isfinite(fit["onset_temperature"]) and not unknown_onset(fit):
                    found = fit["onset_temperature"], fit["onset_temperature_err"]
                    apart[f"{system} {name} onset"].append(student_sigma(pulls(*found, truth.onset), freedom))
            group = _group(of_system["softness"], fits.sel(variable="softness"), reference[system], rng)
            # as the page refuses others
            if group.covariance[-1, -1] < 1:
                groups.append(group)
        if len(groups) > 1:
            tested = one_line(groups, APART)
            chance.append(tested.p)
            line = tested.line
            apart["collapse"].append(
                pulls(line.values, np.sqrt(line.covariance.diagonal()), np.array([INTERCEPT, SLOPE]))
            )
    refuted = float(np.mean(np.array(chance) <= LEVEL))
    print(f"collapse: F test refutes the one line in {refuted:.1%} of {len(chance)}")
    assert refuted <= FALSE_ALARMS
    assert_honest(apart)
    onsets = {f"{system} {variable.name} onset" for system in truths for variable in OF_PAPER}
    assert {"collapse", *onsets} <= set(apart)


def _group(truth: Truth, fit: xr.Dataset, tables: Tables, rng: np.random.Generator) -> Group:
    """Strata of a system on the one line: their entropy as the line has it, measured with the error of the reference."""
    y, *_ = scaled_barriers(truth.energy, truth.entropy, np.array(truth.onset))
    error = float(np.nanmedian(tables.ensemble["s2_grouped_pooled_err"]))
    s2 = (y - INTERCEPT) / SLOPE + error * rng.standard_normal(y.size)
    return Group(s2, np.full(y.size, error), fit["scaled_entropy"].values, fit["scaled_entropy_terms_cov"].values)


@pytest.mark.validate
def test_the_correlation_of_two_variables_is_found_again_within_its_error() -> None:
    particles = 1600
    for system, tables in read_tables(REFERENCE).items():
        true = tables.ensemble["pearson"].values.astype(np.float64)
        units = tables.ensemble.sizes["replica"] * blocks_of(tables.ensemble)
        apart = []
        for draw in range(DRAWS):
            rng = np.random.default_rng(draw)
            of_each = []
            for n, r in zip(units, true, strict=True):
                x, z = rng.standard_normal((2, n, particles))
                y = r * x + np.sqrt(1 - r**2) * z
                of_each.append(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1).sum(axis=1))
            t = [
                pulls(float(pearson_of(each.sum(axis=0))), float(jackknife_error(pearson_of, each)), r)
                for each, r in zip(of_each, true, strict=True)
            ]
            # the error over a few units is known that well
            apart += [student_sigma(each, n - 1.0) for each, n in zip(t, units, strict=True)]
        assert_honest({system: apart})
