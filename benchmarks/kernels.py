"""The kernels in one thread, each against its peers, and against what bounds it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import dynasor
import freud
import numba
import numpy as np
import xarray as xr
import zarr
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import find_peaks
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import daskglass as dg
from benchmarks.timing import Row, compare, jumps, liquid
from daskglass.kernels.cells import gather_candidates, most_candidates, sort_into_cells, squared_distances
from daskglass.physics.defaults import Q_PEAK
from daskglass.physics.structure import MU, WIDTH, pair_counts

PARTICLES = 32_768
FRAMES = 1001
GROUPS = 10
HALF = 5  # frames in half a window


def rows() -> list[Row]:
    """Time every kernel."""
    freud.parallel.set_num_threads(1)
    return [*structure(), *motion(), *labels()]


@numba.njit(error_model="numpy", fastmath=True)
def distances(positions, species, centers, box, cutoff):  # type: ignore[no-untyped-def]
    """Squared distances from every centre to all candidates of the same cell list, and nothing else."""
    cells = sort_into_cells(positions, species, 2, box, cutoff)
    most = most_candidates(cells)
    slots, xyz, r2 = np.empty(most, np.int64), np.empty((3, most)), np.empty(most)
    for cell in range(cells.start.shape[1] - 1):
        for K in range(2):
            found = gather_candidates(cells, cell, K, 0, box, slots, xyz)
            for kind in range(2):
                for slot in range(cells.start[kind, cell], cells.start[kind, cell + 1]):
                    if centers[cells.order[slot]]:
                        squared_distances(cells, slot, xyz, found, r2)


def structure() -> list[Row]:
    """Structure functions, radial distributions and softness of one frame."""
    positions, codes, box = liquid(PARTICLES, steps=1500)
    position = xr.DataArray(positions, dims=("particle", "xyz"))
    species = xr.DataArray(codes, dims="particle", attrs={"names": ["A", "B"]})
    edges = xr.DataArray(box, dims="xyz")
    A = codes == 0
    cube = freud.box.Box.cube(box[0])
    wrapped = cube.wrap(positions)

    def neighbors(r_max: float = 3.3) -> freud.locality.NeighborList:
        query = freud.locality.AABBQuery(cube, wrapped)
        return query.query(wrapped[A], {"r_max": r_max, "exclude_ii": False}).toNeighborList()

    def gaussians() -> np.ndarray:
        found = neighbors()
        r = found.distances
        G = np.empty((A.sum(), 2, len(MU)))
        for K in range(2):
            of_kind = (codes[found.point_indices] == K) & (r > 0)
            for k, mu in enumerate(MU):
                term = np.exp(-((r[of_kind] - mu) ** 2) / (2 * WIDTH**2))
                G[:, K, k] = np.bincount(found.query_point_indices[of_kind], term, A.sum())
        return G

    def radial(centers: np.ndarray = A) -> np.ndarray:
        rdf = freud.density.RDF(bins=250, r_max=5.0)
        rdf.compute((cube, wrapped), query_points=wrapped[centers], neighbors={"r_max": 5.0, "exclude_ii": False})
        return rdf.rdf

    found = compare(
        "structure functions, 54 of every A particle",
        lambda: dg.structure_functions(position, species, edges),
        {"freud, neighbour list to 3.3 alone": (neighbors, 12), "freud and numpy, all of it": (gaussians, 60)},
        ("distances alone", lambda: distances(positions, codes, A, box, MU[-1] + 5 * WIDTH)),
    )
    found += compare(
        "g(r) to 5.0 of every A particle",
        lambda: dg.radial_distribution(position, species, edges),
        {"freud.density.RDF": (radial, 5)},
        ("distances alone", lambda: distances(positions, codes, A, box, 5.0)),
    )
    which = np.random.default_rng(0).integers(0, GROUPS, codes.size)
    group = xr.DataArray(np.where(A, which, -1), dims="particle")
    found += compare(
        f"g(r) of {GROUPS} groups of A particles",
        lambda: pair_counts(position, species, edges, group, GROUPS, 5.0, 0.02),
        {f"{GROUPS} times freud.density.RDF": (lambda: [radial(group.values == k) for k in range(GROUPS)], 20)},
        ("one g(r)", lambda: dg.radial_distribution(position, species, edges)),
    )
    return found + softness(position, species, edges, gaussians)


def softness(
    position: xr.DataArray, species: xr.DataArray, edges: xr.DataArray, gaussians: Callable[[], np.ndarray]
) -> list[Row]:
    """Softness of thermal and inherent positions, features never stored, against features stored and read again."""
    rng = np.random.default_rng(0)
    G = dg.structure_functions(position, species, edges)
    A = np.flatnonzero(species.values == 0)
    label = rng.integers(0, 2, 4000)
    examples = G.isel(particle=A[:4000]).rename(particle="example").to_dataset(name="G")
    model = dg.Softness.fit(examples.assign(label=("example", label)))
    fitted = make_pipeline(StandardScaler(), LinearSVC(max_iter=10_000)).fit(
        examples["G"].values.reshape(4000, -1), label
    )
    both = (position, position + rng.normal(scale=0.05, size=position.shape).astype(np.float32))

    def fused() -> list[xr.DataArray]:
        return [model.transform(dg.structure_functions(x, species, edges)) for x in both]

    with tempfile.TemporaryDirectory() as folder:

        def stored() -> list[np.ndarray]:
            values = []
            for k, x in enumerate(both):
                features = dg.structure_functions(x, species, edges).values[A].reshape(A.size, -1)
                array = zarr.create_array(store=f"{folder}/{k}.zarr", data=features, chunks=(4096, 54), overwrite=True)
                values.append(fitted.decision_function(array[:]))
            return values

        return compare(
            "softness of two configurations, features never stored",
            fused,
            {"the same kernel, Zarr, scikit-learn": (stored, 2)},
            ("structure functions alone", lambda: [dg.structure_functions(x, species, edges) for x in both]),
        )


@numba.njit(error_model="numpy")
def windows_in_a_loop(x, half):  # type: ignore[no-untyped-def]
    """p_hop as one would write it: for every particle and time, two means, and the distances from them."""
    frames, n = x.shape[0], x.shape[1]
    hop = np.full((frames, n), np.nan, np.float32)
    for i in range(n):
        for t in range(half, frames - half):
            m_A, m_B = np.zeros(3), np.zeros(3)
            for k in range(half + 1):
                for d in range(3):
                    m_A[d] += x[t - k, i, d] / (half + 1)
                    m_B[d] += x[t + k, i, d] / (half + 1)
            a = b = 0.0
            for k in range(half + 1):
                for d in range(3):
                    a += (x[t - k, i, d] - m_B[d]) ** 2
                    b += (x[t + k, i, d] - m_A[d]) ** 2
            hop[t, i] = np.sqrt(a * b) / (half + 1)
    return hop


def motion() -> list[Row]:
    """Hops, scattering function and mean squared displacement."""
    walk = jumps(4096, FRAMES, 0.6)
    position = xr.DataArray(walk, dims=("time", "particle", "xyz"), coords={"time": np.arange(float(FRAMES))})
    species = xr.DataArray(np.zeros(4096, np.int8), dims="particle", attrs={"names": ["A"]})

    def still() -> np.ndarray:
        return walk - walk.mean(axis=1, keepdims=True)

    def sliding() -> np.ndarray:
        view = sliding_window_view(still(), HALF + 1, axis=0)
        A, B = view[:-HALF], view[HALF:]
        in_A = ((A - B.mean(axis=-1, keepdims=True)) ** 2).sum(axis=2).mean(axis=-1)
        in_B = ((B - A.mean(axis=-1, keepdims=True)) ** 2).sum(axis=2).mean(axis=-1)
        return np.sqrt(in_A * in_B)

    found = compare(
        f"p_hop of {FRAMES} frames",
        lambda: dg.hop_indicator(position),
        {
            "numpy, sliding windows": (sliding, 30),
            "Numba, a loop over windows": (lambda: windows_in_a_loop(still(), HALF), 4),
        },
        ("copying the positions", lambda: walk.copy()),
    )
    few, some = 200, 1000
    part = walk[:few, :some]
    short = position[:few, :some]
    kinds = species[:some]
    lags = np.unique(np.rint(np.geomspace(1, few // 2, 16)))
    edge = 1e3  # nothing wraps
    found += compare(
        f"mean squared displacement, {few} frames, every lag",
        lambda: dg.mean_squared_displacement(short, kinds),
        {"freud.msd, windowed": (lambda: freud.msd.MSD(mode="window").compute(part), 3)},
    )
    found += compare(
        f"mean squared displacement, {few} frames, {lags.size} lags",
        lambda: dg.mean_squared_displacement(short, kinds, lags),
        {"freud.msd, windowed, every lag": (lambda: freud.msd.MSD(mode="window").compute(part), 3)},
    )
    directions = np.random.default_rng(0).normal(size=(24, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    q_points = np.rint(Q_PEAK * directions * edge / (2 * np.pi)) * (2 * np.pi / edge)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.xyz"
        with path.open("w") as file:
            for frame in part:
                file.write(f'{some}\nLattice="{edge} 0 0 0 {edge} 0 0 0 {edge}" Properties=species:S:1:pos:R:3\n')
                np.savetxt(file, frame, fmt="H %.5f %.5f %.5f")

        def incoherent() -> object:
            return dynasor.compute_dynamic_structure_factors(
                dynasor.Trajectory(str(path), trajectory_format="extxyz"), q_points, dt=1.0, window_size=few // 2,
                calculate_incoherent=True,
            )  # fmt: skip

        dynasor.logging_tools.set_logging_level("ERROR")
        found += compare(
            f"F(Q,t), {few} frames, {lags.size} lags",
            lambda: dg.scattering_function(short, kinds, lags, Q_PEAK),
            {"dynasor, 24 wave vectors, every lag": (incoherent, 3)},
            runs=3,
        )
    return found


def labels() -> list[Row]:
    """Labels of rearrangement and rest from hops."""
    particles = 4096
    walk = jumps(particles, FRAMES, 0.6)
    position = xr.DataArray(walk, dims=("time", "particle", "xyz"), coords={"time": np.arange(float(FRAMES))})
    species = xr.DataArray(np.zeros(particles, np.int8), dims="particle", attrs={"names": ["A"]})
    hop = dg.hop_indicator(position)
    series = np.ascontiguousarray(hop.values[HALF:-HALF].T)

    def peaks() -> np.ndarray:
        label = np.full((FRAMES, particles), -1, np.int8)
        for i in range(particles):
            label[HALF + find_peaks(-series[i], height=-0.05, distance=80)[0], i] = 0
            label[HALF + find_peaks(series[i], height=0.2, distance=10)[0], i] = 1
        return label

    np.testing.assert_array_equal(dg.rearrangement_labels(hop, species).values, peaks())
    return compare(
        f"labels of {FRAMES} frames",
        lambda: dg.rearrangement_labels(hop, species),
        {"scipy.signal.find_peaks, particle by particle": (peaks, 5)},
    )


if __name__ == "__main__":
    rows()
