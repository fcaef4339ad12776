import numpy as np
import pytest
import xarray as xr

BOX = np.array([7.0, 7.5, 8.0])
N, FRAMES = 500, 5


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Store of random particles: production, one frame of it missing; configurations; a run and a table without any."""
    rng = np.random.default_rng(3)
    frames = ("temperature", "replica", "time", "particle")
    shape = (3, 2, FRAMES, N)
    softness = rng.normal(0, 0.5, shape).astype(np.float32)
    species = (np.arange(N) >= 400).astype(np.int8)
    softness[..., 400:] = np.nan
    hop = rng.exponential(0.1, shape).astype(np.float32)
    hop[:, :, [0, -1]] = np.nan
    # unwrapped, over several images
    position = (rng.random((*shape, 3)) * BOX + BOX * rng.integers(-2, 3, (*shape, 3))).astype(np.float32)
    position[0, 0, 1], softness[0, 0, 1] = np.nan, np.nan
    particles = {
        "species": ("particle", species, {"names": ["A", "B"]}),
        "box": ("xyz", BOX),
        "temperature": [0.8, 0.6, 0.5],
        "replica": [0, 1],
        "xyz": np.array(["x", "y", "z"], np.dtypes.StringDType()),
    }
    production = xr.Dataset(
        {
            "softness": (frames, softness, {"units": "1", "long_name": "softness"}),
            "hop": (frames, hop, {"units": "sigma**2", "long_name": "hop indicator p_hop"}),
            "inherent": ((*frames, "xyz"), position),
        },
        particles | {"time": np.arange(FRAMES) * 2.5},
    )
    configurations = ("temperature", "replica", "configuration")
    ensemble = xr.Dataset(
        {
            "position": ((*configurations, "particle", "xyz"), position[:, :, :2]),
            "propensity": ((*configurations, "lag", "particle"), rng.random((3, 2, 2, 3, N))),
            "averaged": ((*configurations, "generation", "particle"), rng.random((3, 2, 2, 2, N))),
        },
        particles | {"configuration": [4, 9], "lag": [1.0, 10.0, 100.0]},
    )
    path = tmp_path_factory.mktemp("explorer") / "small.zarr"
    tree = {
        "ka_0.0/production": production,
        "ka_0.0/isoconfigurational": ensemble,
        "ka_0.0/relaxation": production[["inherent"]],
        "ka_0.0/ensemble": xr.Dataset({"s2": ("temperature", [1.0, 2.0])}),
    }
    xr.DataTree.from_dict(tree).to_zarr(path, zarr_format=3, consolidated=False)
    return path
