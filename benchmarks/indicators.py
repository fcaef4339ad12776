"""Structural indicators in one thread: averages over neighbourhoods, bond order, energies of particles."""

import freud
import numpy as np
import scipy.sparse
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import daskglass as dg
from benchmarks.timing import Row, compare, liquid
from daskglass.engines.lammps import library
from daskglass.physics.defaults import NEIGHBORHOOD

PARTICLES = 4096
SHELLS, SHELL_WIDTH = np.round(np.arange(1.0, 2.51, 0.1), 10), 0.1
FARTHEST = 5  # widths of a shell
Frame = tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.float64]]


def rows() -> list[Row]:
    """Time every indicator of one frame."""
    freud.parallel.set_num_threads(1)
    frame = liquid(PARTICLES)
    return [*averages(frame), *bond_order(frame), *energies(frame)]


def labelled(frame: Frame) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Positions, species and box as the functions take them."""
    positions, codes, box = frame
    species = xr.DataArray(codes, dims="particle", attrs={"names": ["A", "B"]})
    return xr.DataArray(positions, dims=("particle", "xyz")), species, xr.DataArray(box, dims="xyz")


def averages(frame: Frame) -> list[Row]:
    """One generation of the averages of 54 structure functions."""
    position, species, edges = labelled(frame)
    G = dg.structure_functions(position, species, edges, centers=species >= 0)
    positions, _, box = frame
    x = G.values.reshape(PARTICLES, -1)
    wrapped = np.mod(positions.astype(np.float64), box)

    def weights(i: NDArray[np.intp] | int, j: NDArray[np.intp] | list[int]) -> NDArray[np.float32]:
        d = wrapped[i] - wrapped[j]
        d -= box * np.rint(d / box)
        return np.exp(-np.linalg.norm(d, axis=1) / NEIGHBORHOOD).astype(np.float32)

    def particle_by_particle() -> NDArray[np.float32]:
        neighbors = cKDTree(wrapped, boxsize=box).query_ball_point(wrapped, NEIGHBORHOOD)
        mean = np.empty_like(x)
        for i, near in enumerate(neighbors):
            # among them the particle itself, of weight 1
            w = weights(i, near)
            mean[i] = w @ x[near] / w.sum()
        return mean

    def matrix() -> NDArray[np.float32]:
        i, j = cKDTree(wrapped, boxsize=box).query_pairs(NEIGHBORHOOD, output_type="ndarray").T
        W = scipy.sparse.csr_array((weights(i, j), (i, j)), shape=(PARTICLES, PARTICLES))
        W = W + W.T + scipy.sparse.eye_array(PARTICLES, dtype=np.float32)
        return (W @ x) / W.sum(axis=1)[:, None]

    ours = dg.neighborhood_average(G, position, edges).values.reshape(x.shape)
    for theirs in (particle_by_particle, matrix):
        np.testing.assert_allclose(ours, theirs(), rtol=1e-4, atol=1e-5)
    return compare(
        "neighbourhood averages of 54 structure functions",
        lambda: dg.neighborhood_average(G, position, edges),
        {
            "numpy and scipy.spatial.cKDTree, particle by particle": (particle_by_particle, 20),
            "scipy.spatial.cKDTree and a matrix of scipy.sparse": (matrix, None),
        },
    )


def bond_order(frame: Frame) -> list[Row]:
    """Q_6 of 16 shells."""
    position, species, edges = labelled(frame)
    positions, _, box = frame
    cube = freud.box.Box.cube(box[0])
    wrapped = cube.wrap(positions)

    def steinhardt() -> NDArray[np.float32]:
        query = freud.locality.AABBQuery(cube, wrapped)
        reach = {"r_max": SHELLS[-1] + FARTHEST * SHELL_WIDTH, "exclude_ii": True}
        found = query.query(wrapped, reach).toNeighborList()
        r, shells = found.distances, []
        for d in SHELLS:
            near = np.abs(r - d) <= FARTHEST * SHELL_WIDTH
            shell = freud.locality.NeighborList.from_arrays(
                PARTICLES, PARTICLES, found.query_point_indices[near], found.point_indices[near], found.vectors[near],
                np.exp(-((r[near] - d) ** 2) / (2 * SHELL_WIDTH**2)),
            )  # fmt: skip
            shells.append(freud.order.Steinhardt(6, weighted=True).compute((cube, wrapped), shell).particle_order)
        return np.stack(shells, axis=1)

    def ours() -> xr.DataArray:
        return dg.bond_order(position, species, edges, 6, SHELLS, SHELL_WIDTH)

    np.testing.assert_allclose(ours(), steinhardt(), atol=1e-3)
    return compare(
        f"Q_6 of {SHELLS.size} shells", ours, {"freud.order.Steinhardt, one neighbour list": (steinhardt, 3)}, runs=3
    )


def energies(frame: Frame) -> list[Row]:
    """Energy of every particle, lists of neighbours made anew by both."""
    mixture = dg.built_in("ka_0.0")[0]
    position, species, edges = labelled(frame)
    positions, codes, box = frame
    script = library().lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    script.commands_string(f"""
        package omp 1
        units lj
        region box block 0 {box[0]} 0 {box[1]} 0 {box[2]}
        create_box 2 box
    """)
    inside = np.mod(positions.astype(np.float64), box).ravel().tolist()
    script.create_atoms(PARTICLES, list(range(1, PARTICLES + 1)), (codes.astype(int) + 1).tolist(), inside)
    script.commands_string("mass * 1.0\npair_style lj/cut/opt 2.5")
    for i, j, pair in ((1, 1, mixture.pair("A", "A")), (1, 2, mixture.pair("A", "B")), (2, 2, mixture.pair("B", "B"))):
        script.command(f"pair_coeff {i} {j} {pair.epsilon} {pair.sigma} {mixture.cutoff * pair.sigma}")
    script.commands_string("""
        pair_modify shift yes
        neighbor 0.0 bin
        compute each all pe/atom
        compute sum all reduce sum c_each
        thermo_style custom c_sum
        thermo_modify norm no
    """)

    def per_atom() -> float:
        script.command("run 0 post no")
        return float(script.extract_compute("sum", 0, 0))

    def ours() -> xr.DataArray:
        return dg.local_energy(position, species, edges, mixture)

    np.testing.assert_allclose(float(ours().sum()), per_atom(), rtol=1e-6)
    found = compare(
        f"energy of every one of {PARTICLES} particles", ours, {"LAMMPS, compute pe/atom": (per_atom, None)}
    )
    script.close()
    return found


if __name__ == "__main__":
    rows()
