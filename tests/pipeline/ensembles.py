"""Files of made-up isoconfigurational ensembles, and studies of them."""

import re

import numpy as np

from daskglass.physics.systems import kob_andersen
from tests.studies import command_here

N, EDGE = 1000, 10
MIXTURE = kob_andersen(0.0)
L = MIXTURE.box_length(N)
TYPES = np.repeat([0, 1], MIXTURE.counts(N)).astype(np.int8)
LAGS = (10.0, 100.0)
TRAJECTORIES = 6
STUDY = """
study: ensembles
store: ensembles.zarr
systems: [{system: ka_0.0}]
source:
  trajectories:
    format: isoconfigurational
    path: "T{temperature}/{configuration}_{lag}.npz"
inherent: {engine: native}
predictor: {generations: 1}
"""


def configuration(number):
    """Thermal positions near a lattice, and where trajectories end at each lag: some particles move farther than others."""
    rng = np.random.default_rng(number)
    sites = np.stack(np.meshgrid(*[np.arange(EDGE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    initial = (sites + 0.5) * L / EDGE + rng.normal(0, 0.05, (N, 3))
    mobile = 0.05 + 0.1 * rng.uniform(size=(1, N, 1))
    ends = {lag: initial + mobile * np.log(lag) * rng.normal(size=(TRAJECTORIES, N, 3)) for lag in LAGS}
    return initial, ends


def write(folder, number, temperature=0.5, lags=LAGS, **changed):
    """Write the files of a configuration, a file a lag."""
    initial, ends = configuration(number)
    (folder / f"T{temperature}").mkdir(exist_ok=True)
    for lag in lags:
        arrays = {"types": TYPES, "initial_positions": initial, "positions": ends[lag], **changed}
        kept = {name: array for name, array in arrays.items() if array is not None}
        np.savez(folder / f"T{temperature}" / f"{number}_{lag:g}.npz", **kept)


def run(folder, text=STUDY, *options):
    """Run a study of the ensembles in a folder."""
    (folder / "study.yaml").write_text(text)
    return command_here("run", "study.yaml", "--cluster", "none", *options, folder=folder)


def failure(folder, text=STUDY):
    """What a study that cannot be run says."""
    done = run(folder, text)
    assert done.returncode in (1, 2), done.stdout
    return re.sub(r"\s+", " ", done.stderr + done.stdout)
