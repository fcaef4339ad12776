"""Structure functions of all A particles, against the same by cKDTree and numpy."""

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

import daskglass as dg
from benchmarks.timing import compare, liquid
from daskglass.structure import MU


def main() -> None:
    """Print the ratio."""
    positions, codes, box = liquid()
    position = xr.DataArray(positions, dims=("particle", "xyz"))
    species = xr.DataArray(codes, dims="particle", attrs={"names": ["A", "B"]})
    edges = xr.DataArray(box, dims="xyz")

    def peer() -> np.ndarray:
        wrapped = np.mod(positions.astype(np.float64), box)
        pairs = cKDTree(wrapped, boxsize=box).query_pairs(3.5, output_type="ndarray")
        i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
        i, j = i[codes[i] == 0], j[codes[i] == 0]
        gap = wrapped[i] - wrapped[j]
        r = np.linalg.norm(gap - box * np.rint(gap / box), axis=1)
        G = np.zeros((len(codes), 2, len(MU)))
        for k, mu in enumerate(MU):
            np.add.at(G[:, :, k], (i, codes[j]), np.exp(-((r - mu) ** 2) / 0.02))
        return G

    compare("structure functions", lambda: dg.structure_functions(position, species, edges), peer, "cKDTree and numpy")


if __name__ == "__main__":
    main()
