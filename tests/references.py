"""Brute-force references in double precision, written from the definitions, with no cells, recursions or shortcuts.

Everything here is O(N²) or worse on purpose: a reader can hold each function next to its equation.
"""

from __future__ import annotations

import numpy as np
import scipy.signal
import scipy.special


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


def pair_separations(position, box):
    """Minimum-image separations x_i − x_j (N, N, 3), and distances, infinite to itself."""
    x, box = np.asarray(position, np.float64), np.asarray(box, np.float64)
    d = x[:, None, :] - x[None, :, :]
    d -= box * np.round(d / box)
    r = np.sqrt((d**2).sum(axis=-1))
    np.fill_diagonal(r, np.inf)
    return d, r


def _pairs(mixture, species, function):
    """A function of (first, second, σ, ε) over all pairs of particles, by the pair of their species."""
    table = np.array([[function(mixture.pair(a, b)) for b in mixture.species] for a in mixture.species])
    codes = np.asarray(species, np.int64)
    return table[codes[:, None], codes[None, :]]


def local_energy(position, species, box, mixture):
    """E_i = ½ Σ_j V(r_ij), V shifted to zero at the cut-off; and by its force there, where the mixture has it so."""
    epsilon, sigma = (
        _pairs(mixture, species, lambda pair, key=key: getattr(pair, key)) for key in ("epsilon", "sigma")
    )
    _, r = pair_separations(position, box)
    delta, r_c = mixture.delta, mixture.cutoff * sigma
    size = sigma - delta / 2 ** (1 / 6)

    def v(r):
        return 4 * epsilon * ((size / (r - delta)) ** 12 - (size / (r - delta)) ** 6)

    V = v(r) - v(r_c)
    if mixture.cutoff_shift == "force":
        V -= np.where(np.isfinite(r), r - r_c, 0) * (v(r_c + 1e-5) - v(r_c - 1e-5)) / 2e-5
    return 0.5 * np.where(r < r_c, V, 0).sum(axis=1)


def local_density(position, box, cutoff):
    """ρ_i = Σ_j e^{−r_ij/2} over the neighbours within the cut-off."""
    r = distances(position, box)
    return np.where(r < cutoff, np.exp(-r / 2), 0).sum(axis=1)


def neighborhood_average(x, position, box, cutoff):
    """[ x_i + Σ_j e^{−r_ij/r_c} x_j ] / [ 1 + Σ_j e^{−r_ij/r_c} ] of x (particle, …)."""
    r = distances(position, box)
    w = np.where(r < cutoff, np.exp(-r / cutoff), 0) + np.eye(len(r))
    return np.tensordot(w / w.sum(axis=1, keepdims=True), x, axes=1)


def bond_order(position, box, degree, distances, width, support=5.0):
    """Q_l (N, distance) by the addition theorem, without spherical harmonics: Q_l² = Σ_jk g_j g_k P_l(cos γ_jk) / (Σ_j g_j)²."""
    d, r = pair_separations(position, box)
    Q = np.full((len(r), len(distances)), np.nan)
    for i in range(len(r)):
        for k, distance in enumerate(distances):
            x = (r[i] - distance) / width
            shell = np.abs(x) <= support
            g, unit = np.exp(-0.5 * x[shell] ** 2), d[i, shell] / r[i, shell, None]
            if shell.any():
                P = scipy.special.eval_legendre(degree, np.clip(unit @ unit.T, -1, 1))
                Q[i, k] = np.sqrt(max(g @ P @ g, 0)) / g.sum()
    return Q


def forces(position, species, box, mixture):
    """F_i = −Σ_j V'(r_ij) (x_i − x_j)/r_ij, the derivative by hand."""
    epsilon, sigma = (
        _pairs(mixture, species, lambda pair, key=key: getattr(pair, key)) for key in ("epsilon", "sigma")
    )
    d, r = pair_separations(position, box)
    delta, r_c = mixture.delta, mixture.cutoff * sigma
    size = sigma - delta / 2 ** (1 / 6)

    def f(r):
        return 4 * epsilon * (12 * size**12 / (r - delta) ** 13 - 6 * size**6 / (r - delta) ** 7)

    total = f(r) - (f(r_c) if mixture.cutoff_shift == "force" else 0)
    return (np.where(r < r_c, total / r, 0)[..., None] * d).sum(axis=1)


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
