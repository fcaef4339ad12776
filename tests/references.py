"""Brute-force references in double precision, written from the definitions, with no cells, recursions or shortcuts.

Everything here is O(N²) or worse on purpose: a reader can hold each function next to its equation.
"""

from __future__ import annotations

import numpy as np
import scipy.signal


def distances(position, box, centers=slice(None)):
    """Minimum-image distances from each centre to all; infinite to itself, so that none is a neighbour of its own."""
    x, box = np.asarray(position, np.float64), np.asarray(box, np.float64)
    chosen = np.arange(len(x))[centers]
    d = x[chosen, None, :] - x[None, :, :]
    d -= box * np.round(d / box)
    r = np.sqrt((d**2).sum(axis=-1))
    r[np.arange(chosen.size), chosen] = np.inf
    return r


def structure_functions(position, species, names, box, mu, width, support=np.inf, centers=slice(None)):
    """G_K(μ) = Σ_{j∈K} exp[−(r_ij−μ)²/(2Δμ²)] around each centre, terms beyond `support` widths left out: (N, K, μ)."""
    r = distances(position, box, centers)
    G = np.zeros((len(r), len(names), len(mu)))
    for K in range(len(names)):
        for k, radius in enumerate(mu):
            x = (r[:, species == K] - radius) / width
            G[:, K, k] = np.where(np.abs(x) <= support, np.exp(-0.5 * x**2), 0.0).sum(axis=1)
    return G


def local_entropy(G, mu, width, cutoff=2.0, smoothing=1.0):
    """s⁽²⁾_i of (N, K, μ) structure functions, species by species and radius by radius."""
    mu = np.asarray(mu, np.float64)
    step = mu[1] - mu[0]
    norm = np.sqrt(2 * np.pi) * width
    L = 1 / (1 + np.exp((mu - cutoff) / smoothing))
    s2 = np.zeros(len(G))
    for i in range(len(G)):
        for K in range(G.shape[1]):
            rho = G[i, K].sum() * step / (norm * 4 / 3 * np.pi * mu[-1] ** 3)
            if rho == 0:
                continue
            g = G[i, K] / (norm * 4 * np.pi * rho * mu**2)
            g_ln_g = np.array([x * np.log(x) if x > 0 else 0.0 for x in g])
            s2[i] += -2 * np.pi * rho * ((g_ln_g - g + 1) * mu**2 * L * step).sum()
    return s2


def radial_distribution(position, species, species_count, box, edges, centers):
    """g_K(r) of one frame: neighbours of species K per centre, per shell volume, per N_K/V."""
    r = distances(position, box, centers)
    shell = 4 / 3 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3)
    g = np.zeros((species_count, edges.size - 1))
    for K in range(species_count):
        pairs = r[:, species == K]
        counts, _ = np.histogram(pairs[np.isfinite(pairs)], edges)
        g[K] = counts / centers.sum() / shell / ((species == K).sum() / np.prod(box))
    return g


def without_drift(position):
    """Positions (time, particle, 3) in the frame of their centre of mass."""
    x = np.asarray(position, np.float64)
    return x - x.mean(axis=1, keepdims=True)


def hop_indicator(position, half):
    """p_hop (time, particle) with `half` frames in t_R/2, both windows with the frame itself."""
    x = without_drift(position)
    hop = np.full(x.shape[:2], np.nan)
    for t in range(half, len(x) - half):
        A, B = x[t - half : t + 1], x[t : t + half + 1]
        a = ((A - B.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)
        b = ((B - A.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)
        hop[t] = np.sqrt(a * b)
    return hop


def labels(hop, chosen, soft, hard, soft_frames, hard_frames):
    """Labels (time, particle) by `scipy.signal.find_peaks`, whose `height` admits equality where ours is strict."""
    label = np.full(hop.shape, -1, np.int8)
    for i in np.flatnonzero(chosen):
        known = np.flatnonzero(np.isfinite(hop[:, i]))
        series = hop[known, i].astype(np.float64)
        quiet, _ = scipy.signal.find_peaks(-series, height=np.nextafter(-hard, np.inf), distance=hard_frames)
        moving, _ = scipy.signal.find_peaks(series, height=np.nextafter(soft, np.inf), distance=soft_frames)
        label[known[quiet], i] = 0
        label[known[moving], i] = 1
    return label


def scattering_function(position, chosen, q):
    """F(Q,t) at every lag of a uniform series, over all origins."""
    return _over_origins(position, chosen, lambda r2: np.sinc(q * np.sqrt(r2) / np.pi))


def mean_squared_displacement(position, chosen):
    """⟨|Δr|²⟩ at every lag of a uniform series, over all origins."""
    return _over_origins(position, chosen, lambda r2: r2)


def _over_origins(position, chosen, of_squared):
    x = without_drift(position)[:, chosen]
    return np.array([of_squared(((x[lag:] - x[: len(x) - lag]) ** 2).sum(axis=-1)).mean() for lag in range(len(x))])
