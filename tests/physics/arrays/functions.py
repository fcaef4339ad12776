"""Every public function that takes arrays: what it takes, and the same thing by brute force."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import scipy.signal
import scipy.stats
import xarray as xr
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import daskglass as dg
from tests import references
from tests.physics.arrays.data import CONFIGURATIONS, MU, WIDTH, everything

R_MAX, BIN = 3.0, 0.25
REACH = 3.0
SHELLS, SHELL_WIDTH = [1.0, 2.2, 1.6], 0.15
EDGES = np.array([-1.0, -0.2, 0.3, 1.0])
LAGS = [5.0, 1.0, 3.0]
SEED, PER_CLASS = 3, 15
RESAMPLES, BLOCK = 3, 4
BINS, PERCENTILES = 3, (10.0, 80.0)
MIXTURE = dg.built_in("ka_0.1")[0]
KOB_ANDERSEN = dg.built_in("ka_0.0")[0]
WHOLE = everything()
PREDICTOR = dg.LinearPredictor.from_dataset(WHOLE["predictor"])
MODEL = dg.Softness.from_dataset(WHOLE["model"])

# --- structure -----------------------------------------------------------------------------------------------------


def structure(position, species, box):
    G = np.full((len(species), 2, MU.size), np.nan)
    if not np.isnan(position).all():
        there, A = species >= 0, species == 0
        G[A] = references.structure_functions(
            position[there], species[there], "AB", box, MU, WIDTH, 5.0, np.flatnonzero(A[there])
        )
    return G


def radial(position, species, box):
    edges = np.arange(13) * BIN
    shell = 4 / 3 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3)
    there = species >= 0
    position, species = position[:, there], species[there]
    A, pairs, centers = species == 0, np.zeros((2, 12)), 0
    for x, L in zip(position, box, strict=True):
        if np.isnan(x).all():
            continue
        r = references.distances(x, L, A)
        for K in range(2):
            pairs[K] += np.prod(L) * np.histogram(r[:, species == K][np.isfinite(r[:, species == K])], edges)[0]
        centers += A.sum()
    return pairs / (centers * shell * np.array([[(species == 0).sum()], [(species == 1).sum()]]))


def entropy(g, density, r, fraction):
    integrand = np.where(g > 0, g * np.log(np.where(g > 0, g, 1)), 0) - g + 1
    return -2 * np.pi * (density * fraction * (integrand * r**2).sum(axis=1) * (r[1] - r[0])).sum()


def local_entropy(G, mu):
    return references.local_entropy(G[None], mu, WIDTH)[0]


# --- motion --------------------------------------------------------------------------------------------------------


def labels(hop, species):
    found = np.full(hop.shape, -1)
    for i in np.flatnonzero(species == 0):
        series = hop[:, i]
        quiet, _ = scipy.signal.find_peaks(-series, height=np.nextafter(-0.05, np.inf), distance=4)
        moving, _ = scipy.signal.find_peaks(series, height=np.nextafter(0.2, np.inf), distance=2)
        found[quiet, i], found[moving, i] = 0, 1
    return found


def over_pairs(of_squared):
    def reference(position, species):
        there = species >= 0
        x = references.without_drift(position[:, there])[:, species[there] == 0]
        result = []
        for lag in map(int, LAGS):
            r2 = ((x[lag:] - x[:-lag]) ** 2).sum(axis=-1)
            there = ~np.isnan(r2).any(axis=1)
            result.append(of_squared(r2[there]).mean() if there.any() and r2.size else np.nan)
        return np.array(result)

    return reference


def hops(position):
    there = ~np.isnan(position).all(axis=(0, 2))
    hop = np.full(position.shape[:2], np.nan)
    hop[:, there] = references.hop_indicator(position[:, there], 2)
    return hop


def affine(position, box):
    return position * (box[0] / box)[:, None]


def crossing(scattering, lag):
    known = np.isfinite(scattering) & (lag > 0)
    lag, F = lag[known], scattering[known]
    below = np.flatnonzero(np.exp(-1) >= F)
    if below.size == 0 or below[0] == 0:
        return np.nan
    k = below[0]
    share = (F[k - 1] - np.exp(-1)) / (F[k - 1] - F[k])
    return np.exp(np.log(lag[k - 1]) + share * np.log(lag[k] / lag[k - 1]))


def line(x, y, weight):
    """Slope, height at 0, and the errors of both, of weighted least squares by the normal equations."""
    design = np.stack([x, np.ones(len(x))], axis=1)
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    return covariance @ design.T @ (weight * y), np.sqrt(np.diag(covariance))


def slope(msd, lag):
    known = np.isfinite(msd) & (lag > 0) & (msd > 0)
    t, x = lag[known], msd[known]
    diffusive = []
    for k in range(len(t)):
        near = [j for j in range(len(t)) if t[k] / 1.5 <= t[j] <= 1.5 * t[k]]
        if len(near) > 1 and x[k] > 1 and np.polyfit(np.log(t[near]), np.log(x[near]), 1)[0] > 0.95:
            diffusive.append(k)
    if len(diffusive) < 2:
        return np.nan
    return line(t[diffusive], x[diffusive], t[diffusive] ** -2)[0][0] / 6


def reduced(D, density, temperature):
    return density ** (1 / 3) * D / np.sqrt(temperature)


# --- strata and barriers -------------------------------------------------------------------------------------------


def stratified(values):
    """Edges between two percentiles, by walking through bins of 1/1024."""
    counts = Counter(int(np.floor(value * 1024)) for value in values.ravel() if not np.isnan(value))

    def percentile(p):
        wanted, below = p / 100 * sum(counts.values()), 0
        for k in sorted(counts):
            if below + counts[k] >= wanted:
                return (k + (wanted - below) / counts[k]) / 1024
            below += counts[k]
        raise AssertionError

    low, high = map(percentile, PERCENTILES)
    return np.array([low + (high - low) * k / BINS for k in range(BINS + 1)])


def probability(hop, values):
    samples, events = np.zeros(3), np.zeros(3)
    for p, x in zip(hop.ravel(), values.ravel(), strict=True):
        if not (np.isnan(p) or np.isnan(x)) and EDGES[0] <= x <= EDGES[-1]:
            k = min(np.searchsorted(EDGES, x, side="right") - 1, 2)
            samples[k] += 1
            events[k] += p > 0.2
    return np.array([samples, events, events / samples])


def recall(values, hop):
    known = ~np.isnan(values) & ~np.isnan(hop)
    moving, soft = known & (hop > 0.2), known & (values > 0)
    return np.array([(moving & soft).sum() / moving.sum(), (moving & soft).sum() / soft.sum()])


def scatter(x, y, error):
    """Variance common to all points of a line beside their own, and χ² without it."""

    def squares(common):
        variance = error**2 + common
        slope, intercept = line(x, y, 1 / variance)[0]
        return ((y - intercept - slope * x) ** 2 / variance).sum()

    freedom = len(x) - 2
    if freedom == 0 or squares(0.0) <= freedom:
        return 0.0, squares(0.0)
    return scipy.optimize.brentq(lambda common: squares(common) - freedom, 0, 100, xtol=1e-15), squares(0.0)


def fitted(y, error, temperature):
    """ΔE, Σ, their errors, common scatter, reduced χ² of one stratum; NaN where y is."""
    used = ~np.isnan(y)
    if used.sum() < 2:
        return np.full(6, np.nan)
    x, y, error = 1 / temperature[used], y[used], error[used]
    common, squares = scatter(x, y, error)
    (minus_E, entropy), (E_err, entropy_err) = line(x, y, 1 / (error**2 + common))
    freedom = used.sum() - 2
    reduced = squares / freedom if freedom else np.nan
    return np.array([-minus_E, entropy, E_err, entropy_err, np.sqrt(common), reduced])


def barrier(probability, events, temperature):
    """What `fitted` gives, and the number of temperatures."""
    used = (events > 0) & (probability > 0)
    y = np.where(used, np.log(np.where(used, probability, 1)), np.nan)
    error = 1 / np.sqrt(np.where(used, events, 1))
    return np.array([*fitted(y, error, temperature), used.sum()])


def inverse_meeting(activation_energy, activation_entropy):
    inverse = []
    for i, j in itertools.combinations(range(len(activation_energy)), 2):
        inverse.append((activation_entropy[i] - activation_entropy[j]) / (activation_energy[i] - activation_energy[j]))
    inverse = np.array(inverse)[np.isfinite(inverse)]
    if inverse.size == 0:
        return np.nan
    low, high = np.percentile(inverse, [10, 90])
    return np.mean([each for each in inverse if abs(each - np.median(inverse)) <= high - low])


def meeting(activation_energy, activation_entropy):
    mean = inverse_meeting(activation_energy, activation_entropy)
    return 1 / mean if mean > 0 else np.nan


def barriers(P, events, temperature):
    """ΔE and Σ of (temperature, stratum)."""
    return np.array([barrier(P[:, k], events[:, k], temperature)[:2] for k in range(P.shape[1])]).T


def below_onset(probability, events, temperature):
    """P_R at the temperatures below the onset that they give, of at most the ten coldest."""
    count, tried = min(10, len(temperature)), []
    while count not in tried:
        tried.append(count)
        onset = meeting(*barriers(probability[:count], events[:count], temperature[:count]))
        if np.isnan(onset):
            return probability[:count]
        count = max((temperature < onset).sum(), min(2, len(temperature)))
    return probability[: min(tried[tried.index(count) :])]


def scaled(activation_energy, activation_entropy, onset):
    # there is nothing at or below zero
    onset = onset if onset > 0 else np.nan
    P = np.exp(activation_entropy - activation_energy / onset)
    P = np.mean(P[~np.isnan(P)])
    return np.array(
        [activation_entropy / np.log(P), activation_energy / (onset * np.log(P)), np.full(activation_energy.shape, P)]
    )


SPREADS = (
    "probability",
    "activation_energy",
    "activation_entropy",
    "onset_temperature",
    "scaled_entropy",
    "scaled_energy",
)


def resampled(samples, events, temperature):
    """Standard deviations of resamples, drawn one by one; each (temperature, stratum), though many vary along one alone."""
    there = (samples >= 0) & (events >= 0)
    samples, events = np.where(there, samples, 0), np.where(there, events, 0)
    frames = np.array_split(np.arange(samples.shape[2]), max(samples.shape[2] // BLOCK, 1))
    units = [(k, block) for k in range(samples.shape[1]) for block in frames]
    shape = (len(temperature), samples.shape[-1])
    draws = np.random.default_rng(SEED).integers(len(units), size=(RESAMPLES, len(temperature), len(units) - 1))
    drawn = []
    for resample in draws:
        sums = np.zeros((2, *shape))
        for T, k in np.ndindex(resample.shape):
            replica, block = units[resample[T, k]]
            for which, counts in enumerate((samples, events)):
                sums[which, T] += counts[T, replica, block].sum(axis=0)
        drawn.append(sums)
    of_units = np.nanstd([events / samples for samples, events in drawn], axis=0, ddof=1)
    total = np.array([samples.sum(axis=(1, 2)), events.sum(axis=(1, 2))])
    P = total[1] / total[0]
    P_err = np.maximum(of_units, np.sqrt(P * (1 - P) / total[0]))
    lacking = np.nan_to_num(np.sqrt(P_err**2 - of_units**2) / P)
    error = np.where(P_err / P > 1e-12, P_err / P, 1 / np.sqrt(total[1]))
    y_all = np.where(total[1] > 0, np.log(P), np.nan)
    common, noise = noise_of(y_all, error, temperature)

    def barriers_of(y):
        # of 1/(σ² + s²) of all counts
        E, entropy = np.full((2, shape[1]), np.nan)
        for k, used in enumerate(np.isfinite(y.T)):
            if used.sum() > 1:
                (minus_E, entropy[k]), _ = line(
                    1 / temperature[used], y[used, k], 1 / (error[used, k] ** 2 + common[k] ** 2)
                )
                E[k] = -minus_E
        return np.array([E, entropy])

    def all_of(barriers, x):
        return np.array([np.full(shape[1], 1 / x), *scaled(*barriers, 1 / x)[:2]])

    of_all, step = barriers_of(y_all), 1e-6
    x = inverse_meeting(*of_all)
    found = []
    shared, own = (np.random.default_rng([SEED, stream]) for stream in (1, 2))
    for samples, events in drawn:
        P = events / samples
        y = np.where(events > 0, np.log(P), np.nan) + own.standard_normal(shape[::-1]).T * lacking
        lines = barriers_of(y + shared.standard_normal(len(temperature))[:, None] * noise)
        moved, x_moved = lines - of_all, inverse_meeting(*lines) - x
        ahead, behind = (all_of(of_all + way * moved, x + way * x_moved) for way in (step, -step))
        follows = (ahead - behind) / (2 * step)
        found.append([np.broadcast_to(x, shape) for x in (*moved, *follows)])
    return np.concatenate([P_err[None], np.nanstd(found, axis=0, ddof=1)])


def noise_of(y, error, temperature):
    """Common scatter (stratum,), and distances (temperature, stratum) from the lines, of what it is the share."""
    noise, common = np.zeros(y.shape), np.zeros(y.shape[1])
    for k in range(y.shape[1]):
        E, entropy, _, _, s, _ = fitted(y[:, k], error[:, k], temperature)
        used = ~np.isnan(y[:, k])
        n = used.sum()
        rest = (y[:, k] - entropy + E / temperature) * s / np.sqrt(s**2 + error[:, k] ** 2) * np.sqrt(n / max(n - 2, 1))
        noise[used, k] = np.nan_to_num(rest[used])
        common[k] = np.nan_to_num(s)
    return common, noise


# --- softness ------------------------------------------------------------------------------------------------------

PARTS = ("weights", "mean", "scale", "bias")


def as_array(model):
    """Weights, mean, scale and bias of a model (part, neighbor, mu)."""
    return xr.Dataset({name: getattr(model, name) for name in PARTS}).to_array("part")


def trained(G, label):
    """The same by scikit-learn alone."""
    rng = np.random.default_rng(SEED)
    members = [np.flatnonzero(label == code) for code in (0, 1)]
    n = min(PER_CLASS, *map(len, members))
    chosen = np.sort(np.concatenate([rng.choice(found, n, replace=False) for found in members]))
    features = G[chosen].reshape(len(chosen), -1)
    train, _, train_label, _ = train_test_split(
        features, label[chosen], test_size=0.25, random_state=SEED, stratify=label[chosen]
    )
    scaler, machine = StandardScaler(), LinearSVC(C=1.0, max_iter=10_000, dual="auto", random_state=SEED)
    make_pipeline(scaler, machine).fit(train, train_label)
    found = [machine.coef_[0], scaler.mean_, scaler.scale_, np.full(features.shape[1], machine.intercept_[0])]
    return np.reshape(found, (len(PARTS), *G.shape[1:]))


def softness(G, weights=MODEL.weights.values, mean=MODEL.mean.values, scale=MODEL.scale.values, bias=MODEL.bias):
    S = bias
    for K, k in np.ndindex(G.shape):
        S = S + weights[K, k] * (G[K, k] - mean[K, k]) / scale[K, k]
    return S


SEEN = WHOLE["G"].isel(system=0, drop=True)


def softness_by(weights, mean, scale, bias):
    return np.array([softness(G, weights, mean, scale, bias) for G in SEEN.values])


# --- propensity and scores -----------------------------------------------------------------------------------------


def propensities(final, initial, species):
    p, there = np.full(len(species), np.nan), species >= 0
    moved = [x[there] - initial[there] for x in final if not np.isnan(x).all()]
    if moved and not np.isnan(initial).all():
        p[there] = np.mean([np.linalg.norm(d - d.mean(axis=0), axis=1) for d in moved], axis=0)
    return p


def correlated(correlation, x, y):
    """A correlation of scipy over the particles that have both; NaN where one is the same for all."""
    use = ~(np.isnan(x) | np.isnan(y))
    x, y = x[use], y[use]
    return correlation(x, y)[0] if x.size > 1 and np.ptp(x) > 0 and np.ptp(y) > 0 else np.nan


def mean_and_error(values):
    values = values[np.isfinite(values)]
    return (
        [np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))]
        if len(values) > 1
        else [*values, np.nan, np.nan][:2]
    )


def scores(indicator, propensity, species, half):
    """All numbers of a board, in the order of `BOARD`."""
    there = (species == 0) & ~np.isnan(half).any(axis=1)
    x, y = np.where(there, indicator, np.nan), np.where(there, propensity, np.nan)
    found = []
    for correlation in (scipy.stats.pearsonr, scipy.stats.spearmanr):
        found += mean_and_error(np.array([correlated(correlation, a, b) for a, b in zip(x, y, strict=True)]))
        found.append(correlated(correlation, x.ravel(), y.ravel()))
        used = np.flatnonzero((~np.isnan(x + y)).any(axis=1))
        left = [correlated(correlation, *(np.delete(each, k, axis=0).ravel() for each in (x, y))) for k in used]
        found.append(np.sqrt((len(left) - 1) * np.var(left)) if len(left) > 1 else np.nan)
    there &= ~np.isnan(x + y)
    r = np.array([correlated(scipy.stats.pearsonr, *h[:, use]) for h, use in zip(half, there, strict=True)])
    r = r[np.isfinite(r)]

    def ceiling(r):
        mean = np.mean(r) if len(r) else np.nan
        return np.sqrt(2 * mean / (1 + mean)) if mean > 0 else np.nan

    left = [ceiling(np.delete(r, k)) for k in range(len(r))]
    return np.array([*found, ceiling(r), np.sqrt((len(left) - 1) * np.var(left)) if len(left) > 1 else np.nan])


def apart(indicator, propensity, species, other):
    propensity = np.where(species == 0, propensity, np.nan)
    first, second = (
        np.array([correlated(scipy.stats.pearsonr, a, b) for a, b in zip(x, propensity, strict=True)])
        for x in (indicator, other)
    )
    return np.array(mean_and_error(first - second))


def area(values, hop):
    def of(values, hop):
        use = ~(np.isnan(values) | np.isnan(hop))
        R = hop[use] > 0.2
        return roc_auc_score(R, values[use]) if R.any() and not R.all() else np.nan

    used = [k for k in range(len(hop)) if (~np.isnan(values[k] + hop[k])).any()]
    blocks = sorted({k // BLOCK for k in used})
    time = np.arange(len(hop)) // BLOCK
    left = [of(values[time != k], hop[time != k]) for k in blocks]
    return np.array([of(values, hop), np.sqrt((len(left) - 1) * np.var(left)) if len(left) > 1 else np.nan])


# --- linear predictor ----------------------------------------------------------------------------------------------


def predictor_array(model):
    """Weights, mean, scale and bias of a model (part, feature)."""
    return xr.Dataset({name: getattr(model, name) for name in PARTS}).to_array("part")


def line_of(pairs, penalty):
    """Weights, mean, scale and bias (part, feature) of the pairs of features and targets of configurations."""
    x, y = (np.concatenate(each) for each in zip(*pairs, strict=True))
    dx, dy = (
        np.concatenate([each - each.mean(axis=0) for each in configurations])
        for configurations in zip(*pairs, strict=True)
    )
    scale = np.where(dx.std(axis=0) > 0, dx.std(axis=0), 1)
    w = Ridge(alpha=penalty * len(y), fit_intercept=False).fit(dx / scale, dy).coef_
    return np.array([w, x.mean(axis=0), scale, np.full(len(w), y.mean())])


def predicted_by(line, x):
    w, mean, scale, bias = line
    return bias[0] + ((x - mean) / scale) @ w


def best_line(pairs):
    """The line of the penalty with the least error in configurations left out in turn."""
    error = np.zeros(33)
    for k, (x, y) in enumerate(pairs):
        for p in range(33):
            apart = predicted_by(line_of(pairs[:k] + pairs[k + 1 :], 10 ** (-6 + p / 4)), x) - y
            error[p] += ((apart - apart.mean()) ** 2).sum()
    return line_of(pairs, 10 ** (-6 + error.argmin() / 4))


def pairs_of(features, target):
    known = ~np.isnan(target) & ~np.isnan(features).any(axis=2)
    return [(x[use], y[use]) for x, y, use in zip(features, target, known, strict=True)]


def fitted_line(features, target):
    return best_line(pairs_of(features, target))


def unseen(features, target):
    pairs = pairs_of(features, target)
    return np.array([predicted_by(best_line(pairs[:k] + pairs[k + 1 :]), x) for k, x in enumerate(features)])


def predicted(features, feature):
    known = [getattr(PREDICTOR, name).sel(feature=feature).values for name in PARTS[:3]]
    return predicted_by([*known, [PREDICTOR.bias]], features)


SEEN_FEATURES = WHOLE["features"].isel(configuration=0, drop=True)


def predicted_from(weights, mean, scale, bias, feature):
    return predicted_by([weights, mean, scale, [bias]], SEEN_FEATURES.sel(feature=feature).values)


# --- potential -----------------------------------------------------------------------------------------------------


def energy(r):
    """V_AB of Δ = 0.1, from the numbers of the definition."""
    if np.isnan(r) or r >= 2.5 * 0.8:
        return r if np.isnan(r) else 0.0

    def unshifted(r):
        return (
            4 * 1.5 * (((0.8 - 0.1 / 2 ** (1 / 6)) / (r - 0.1)) ** 12 - ((0.8 - 0.1 / 2 ** (1 / 6)) / (r - 0.1)) ** 6)
        )

    return unshifted(r) - unshifted(2.5 * 0.8)


def force(r):
    # at the cut-off it jumps
    return 0.0 if r >= 2.5 * 0.8 else (energy(r - 1e-6) - energy(r + 1e-6)) / 2e-6


def of_distance(function):
    def call(r):
        found = function(MIXTURE, "A", "B", r)
        return xr.DataArray(found, dims=xr.DataArray(r).dims)

    return call


def local_energies(position, species, box):
    E = np.full(len(species), np.nan)
    if not np.isnan(position).all():
        there = species >= 0
        E[there] = references.local_energy(position[there], species[there], box, KOB_ANDERSEN)
    return E


def described(position, species, box):
    """E_i and structure functions of particles of all species, and their averages over one generation."""
    found = np.full((len(species), 2 * (1 + 2 * MU.size)), np.nan)
    there = species >= 0
    if there.any() and not np.isnan(position).all():
        x, kinds = position[there], species[there]
        G = references.structure_functions(x, kinds, "AB", box, MU, WIDTH, 5.0, np.arange(len(x)))
        E = references.local_energy(x, kinds, box, KOB_ANDERSEN)
        features = np.column_stack([E, G.reshape(len(x), -1)])
        found[there] = np.column_stack([features, references.neighborhood_average(features, x, box, 2.1)])
    return found


def of_those_there(reference, like):
    """What a reference gives for the particles of a frame that are there; NaN for others, and where the frame is missing."""

    def call(position, box, **given):
        there = ~np.isnan(position).all(axis=-1)
        values = given.get(like, position[:, 0])
        found = np.full(values.shape, np.nan)
        if there.any():
            found[there] = reference(position[there], box, values[there])
        return found

    return call


def shells(position, species, box):
    there = ~np.isnan(position).all(axis=-1)
    Q = np.full((len(position), len(SHELLS)), np.nan)
    Q[there] = references.bond_order(position[there], box, 4, SHELLS, SHELL_WIDTH)
    return Q


def averaged(position, box, x):
    # a mean of NaN is NaN
    return references.neighborhood_average(x, position, box, REACH)


def unmoved(position, species, box):
    """Where a frame is whose forces are within the tolerance already."""
    return position.astype(np.float32)


# --- all of them ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Function:
    """A public function and the same thing by brute force.

    Attributes
    ----------
    call : of the arrays and tables named in `given`
    core : arrays, and variables of tables, by name, with their core dimensions; all dimensions where there is None
    out : dimensions of what comes out, besides leading ones
    reference : of plain arrays over `core`, and of the labels named in `labels`
    given : names of what `call` takes; those of `core` where there are no tables
    fixed : dimensions whose order is part of what is given
    """

    call: Callable[..., Any]
    core: dict[str, tuple[str, ...] | None]
    out: tuple[str, ...]
    reference: Callable[..., Any]
    rtol: float = 1e-4
    labels: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()


PARTICLES, PARTICLE = ("particle", "xyz"), ("particle",)
SERIES = ("time", *PARTICLES)
CENTERS = {"position": PARTICLES, "species": PARTICLE, "box": ("xyz",)}
MOTION = {"position": SERIES, "species": PARTICLE}
FRAME = ("time", "particle")
FEATURES = ("neighbor", "mu")
COUNTS = ("temperature", "replica", "time", "stratum")
TEMPERATURE, STRATUM = ("temperature",), ("stratum",)
PREDICTOR_PARTS = {"weights": ("feature",), "mean": ("feature",), "scale": ("feature",), "bias": ()}
MODEL_PARTS = {"weights": FEATURES, "mean": FEATURES, "scale": FEATURES, "bias": ()}
ENSEMBLE = ("configuration", "particle")
BOARD = [
    name + suffix
    for name in ("pearson", "pearson_pooled", "spearman", "spearman_pooled", "ceiling")
    for suffix in ("", "_err")
]
FUNCTIONS = {
    "structure_functions": Function(
        lambda **a: dg.structure_functions(**a, mu=MU, width=WIDTH), CENTERS, ("particle", "neighbor", "mu"), structure
    ),
    "radial_distribution": Function(
        lambda **a: dg.radial_distribution(**a, r_max=R_MAX, bin_width=BIN),
        {"position": SERIES, "species": PARTICLE, "box": ("time", "xyz")},
        ("neighbor", "r"),
        radial,
    ),
    "hop_indicator": Function(lambda **a: dg.hop_indicator(**a, window=4.0), {"position": SERIES}, FRAME, hops, 1e-3),
    "rearrangement_labels": Function(
        lambda **a: dg.rearrangement_labels(**a, soft_separation=2.0, hard_separation=4.0),
        {"hop": FRAME, "species": PARTICLE},
        FRAME,
        labels,
    ),
    "scattering_function": Function(
        lambda **a: dg.scattering_function(**a, q=3.0, lags=LAGS),
        MOTION,
        ("lag",),
        over_pairs(lambda r2: np.sinc(3.0 * np.sqrt(r2) / np.pi)),
    ),
    "mean_squared_displacement": Function(
        lambda **a: dg.mean_squared_displacement(**a, lags=LAGS), MOTION, ("lag",), over_pairs(lambda r2: r2)
    ),
    "without_affine_motion": Function(
        dg.without_affine_motion, {"position": SERIES, "box": ("time", "xyz")}, SERIES, affine
    ),
    "relaxation_time": Function(dg.relaxation_time, {"scattering": ("lag",)}, (), crossing, labels=("lag",)),
    "diffusivity": Function(dg.diffusivity, {"msd": ("lag",)}, (), slope, labels=("lag",)),
    "reduced_diffusivity": Function(
        lambda D, density, T: dg.reduced_diffusivity(D, density, T),
        {"D": (), "density": (), "T": ()},
        (),
        lambda D, density, T: reduced(D, density, T),
    ),
    "excess_entropy": Function(
        dg.excess_entropy, {"g": ("neighbor", "r"), "density": ()}, (), entropy, labels=("r", "fraction")
    ),
    "local_excess_entropy": Function(dg.local_excess_entropy, {"G": FEATURES}, (), local_entropy, 1e-3, ("mu",)),
    "Softness.fit": Function(
        lambda examples: as_array(dg.Softness.fit(examples, seed=SEED, samples_per_class=PER_CLASS)),
        {"G": ("example", *FEATURES), "label": ("example",)},
        ("part", *FEATURES),
        trained,
        given=("examples",),
    ),
    "Softness.transform": Function(MODEL.transform, {"G": FEATURES}, (), softness, fixed=("neighbor",)),
    "Softness.from_dataset": Function(
        lambda model: dg.Softness.from_dataset(model).transform(SEEN),
        MODEL_PARTS, PARTICLE, softness_by, given=("model",), fixed=("neighbor",),
    ),
    "Softness.to_dataset": Function(
        lambda model: dg.Softness.from_dataset(dg.Softness.from_dataset(model).to_dataset()).transform(SEEN),
        MODEL_PARTS, PARTICLE, softness_by, given=("model",), fixed=("neighbor",),
    ),
    "recall_precision": Function(
        lambda values, hop: dg.recall_precision(values, hop)[["recall", "precision"]].to_array("quantity"),
        {"values": FRAME, "hop": FRAME},
        ("quantity",),
        recall,
    ),
    "strata": Function(
        lambda values: dg.strata(values, BINS, PERCENTILES), {"values": None}, ("edge",), stratified, 1e-9
    ),
    "rearrangement_probability": Function(
        lambda hop, values: dg.rearrangement_probability(hop, values, xr.DataArray(EDGES, dims="edge"))
        [["samples", "events", "probability"]].to_array("quantity"),
        {"hop": FRAME, "values": FRAME},
        ("quantity", "stratum"),
        probability,
    ),
    "arrhenius": Function(
        lambda P: dg.arrhenius(P).to_array("quantity"),
        {"probability": TEMPERATURE, "events": TEMPERATURE},
        ("quantity",), barrier, labels=TEMPERATURE, given=("P",),
    ),
    "onset_temperature": Function(
        dg.onset_temperature, {"activation_energy": STRATUM, "activation_entropy": STRATUM}, (), meeting, given=("fit",)
    ),
    "supercooled": Function(
        lambda P_of_one: dg.supercooled(P_of_one).probability,
        {"probability": ("temperature", "stratum"), "events": ("temperature", "stratum")},
        ("temperature", "stratum"), below_onset, labels=TEMPERATURE, given=("P_of_one",),
    ),
    "collapse": Function(
        lambda fit, onset: dg.collapse(fit, onset).to_array("quantity"),
        {"activation_energy": STRATUM, "activation_entropy": STRATUM, "onset": ()},
        ("quantity", "stratum"), scaled, given=("fit", "onset"),
    ),
    "bootstrap": Function(
        lambda counts: dg.bootstrap(counts, RESAMPLES, SEED, BLOCK)[[f"{name}_err" for name in SPREADS]].to_array("quantity"),
        {"samples": COUNTS, "events": COUNTS},
        ("quantity", "temperature", "stratum"), resampled, 1e-6, labels=TEMPERATURE, given=("counts",),
    ),
    "pair_energy": Function(of_distance(dg.pair_energy), {"r": ()}, (), energy),
    "local_energy": Function(
        lambda **a: dg.local_energy(**a, mixture=KOB_ANDERSEN), CENTERS, PARTICLE, local_energies, 1e-8
    ),
    "local_density": Function(
        lambda **a: dg.local_density(**a, cutoff=REACH), CENTERS, PARTICLE,
        of_those_there(lambda position, box, _: references.local_density(position, box, REACH), ""), 1e-8,
    ),
    "bond_order": Function(
        lambda **a: dg.bond_order(**a, degree=4, distances=SHELLS, width=SHELL_WIDTH),
        CENTERS, ("particle", "distance"), shells,
    ),
    "neighborhood_average": Function(
        lambda **a: dg.neighborhood_average(**a, cutoff=REACH),
        {"x": PARTICLES, "position": PARTICLES, "box": ("xyz",)}, PARTICLES, of_those_there(averaged, "x"),
    ),
    "structural_features": Function(
        lambda **a: dg.structural_features(**a, mixture=KOB_ANDERSEN, generations=1, mu=MU, width=WIDTH),
        CENTERS, ("particle", "feature"), described, 1e-4,
    ),
    "inherent_structures": Function(
        lambda **a: dg.inherent_structures(**a, mixture=KOB_ANDERSEN, tolerance=1e100), CENTERS, PARTICLES, unmoved
    ),
    "propensity": Function(
        dg.propensity, {"final": ("trajectory", *PARTICLES), "initial": PARTICLES, "species": PARTICLE}, PARTICLE, propensities
    ),
    "score": Function(
        lambda **a: dg.score(**a)[list(BOARD)].to_array("quantity"),
        {"indicator": ENSEMBLE, "propensity": ENSEMBLE, "species": PARTICLE, "half": ("configuration", "half", "particle")},
        ("quantity",), scores,
    ),
    "score_difference": Function(
        lambda indicator, other, **a: dg.score_difference(dg.score(indicator, **a), dg.score(other, **a))
        [["pearson", "pearson_err"]].to_array("quantity"),
        {"indicator": ENSEMBLE, "propensity": ENSEMBLE, "species": PARTICLE, "other": ENSEMBLE},
        ("quantity",), apart,
    ),
    "receiver_operating_curve": Function(
        lambda values, hop: dg.receiver_operating_curve(values, hop, block=BLOCK)[["area", "area_err"]].to_array("quantity"),
        {"values": FRAME, "hop": FRAME},
        ("quantity",), area,
    ),
    "LinearPredictor.fit": Function(
        lambda **a: predictor_array(dg.LinearPredictor.fit(**a, folds=CONFIGURATIONS)),
        {"features": (*ENSEMBLE, "feature"), "target": ENSEMBLE}, ("part", "feature"), fitted_line,
    ),
    "LinearPredictor.cross_validated": Function(
        lambda **a: dg.LinearPredictor.cross_validated(**a, folds=CONFIGURATIONS),
        {"target": ENSEMBLE, "features": (*ENSEMBLE, "feature")}, ENSEMBLE, unseen,
    ),
    "LinearPredictor.predict": Function(PREDICTOR.predict, {"features": ("feature",)}, (), predicted, labels=("feature",)),
    "LinearPredictor.from_dataset": Function(
        lambda predictor: dg.LinearPredictor.from_dataset(predictor).predict(SEEN_FEATURES),
        PREDICTOR_PARTS, PARTICLE, predicted_from, given=("predictor",), labels=("feature",),
    ),
    "LinearPredictor.to_dataset": Function(
        lambda predictor: dg.LinearPredictor.from_dataset(
            dg.LinearPredictor.from_dataset(predictor).to_dataset()
        ).predict(SEEN_FEATURES),
        PREDICTOR_PARTS, PARTICLE, predicted_from, given=("predictor",), labels=("feature",),
    ),
    "pair_force": Function(of_distance(dg.pair_force), {"r": ()}, (), force),
}  # fmt: skip
WITHOUT_ARRAYS = {"open_store", "query", "write_gsd", "load_study", "Mixture", "built_in"}
