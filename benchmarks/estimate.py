"""What a dry run foresees against what three small studies then take: core seconds of every stage, as processor time.

Each study runs in a fresh process, without a cluster, after one run that fills the cache of compiled kernels.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import daskglass as dg
from benchmarks.timing import Row, jumps, ratio, write_gsd
from daskglass.engines import get_engine
from daskglass.pipeline import run as pipeline
from daskglass.pipeline.dispatch import Result
from daskglass.pipeline.estimate import costs
from daskglass.pipeline.here import Handed, Here
from daskglass.report.tasks import figure_tasks
from daskglass.study.load import load_study

HONEST = 0.3  # by which what is foreseen may be off
STUDY = """\
study: estimated
store: {name}.zarr
systems: [{{system: ka_0.0, temperatures: {temperatures}, replicas: {replicas}}}]
source: {{trajectories: {{path: "{name}.T{{temperature:g}}.r{{replica}}.gsd", timestep: 0.004}}}}
inherent: {inherent}
hops: {{soft: 0.1, hard_separation: 15.0}}
softness: {{train_on: {{run: production, temperature: {coldest}}}, samples_per_class: {samples}}}
radial: {{r_max: 4.0}}
barriers: {{hottest: {hottest}, resamples: {resamples}}}
"""
STUDIES = {
    "800 particles, 3 × 2 runs of 61 frames": ("small", 800, 61, (1.0, 0.8, 0.7), 2, "none", 300, 200),
    "4,096 particles, 2 runs of 101 frames": ("large", 4096, 101, (1.0, 0.7), 1, "none", 2000, 50),
    "1,000 particles, 2 runs of 41 frames, inherent structures": ("minima", 1000, 41, (1.0, 0.8), 1, "{}", 300, 50),
}


class Counting(Here):
    """This process, which counts the processor seconds of each stage."""

    def __init__(self) -> None:
        super().__init__()
        self.spent: Counter[str] = Counter()

    def ended(self, until: float) -> Sequence[tuple[Handed, Result | BaseException | None]]:
        """Do a task, and count it."""
        began, now = time.process_time(), self._now
        found = super().ended(until)
        if now is not None:
            self.spent[now.call.task.stage] += time.process_time() - began
        return found


def write_study(
    folder: Path, name: str, particles: int, frames: int, temperatures: tuple[float, ...], replicas: int, inherent: str,
    samples: int, resamples: int,
) -> Path:  # fmt: skip
    """Write the trajectories of a study, and its file: of particles on a lattice that jump, or of a liquid if it is minimised."""
    for T in temperatures:
        for replica in range(replicas):
            path = folder / f"{name}.T{T:g}.r{replica}.gsd"
            if inherent == "none":
                write_gsd(path, jumps(particles, frames, T, replica), (particles / 1.2) ** (1 / 3))
            else:
                write_gsd(path, simulated(particles, frames, T), dg.built_in("ka_0.0")[0].box_length(particles))
    study = folder / f"{name}.yaml"
    study.write_text(
        STUDY.format(
            name=name, temperatures=list(temperatures), coldest=temperatures[-1], hottest=temperatures[0], replicas=replicas,
            inherent=inherent, samples=samples, resamples=resamples,
        )
    )  # fmt: skip
    return study


def simulated(particles: int, frames: int, temperature: float) -> list[np.ndarray]:
    """Frames of a liquid, a τ apart; unwrapped."""
    with get_engine("lammps").start(dg.built_in("ka_0.0")[0], particles, 1, temperature, 0.004) as simulation:
        simulation.run(5000)
        found = []
        for _ in range(frames):
            simulation.run(250)
            found.append(simulation.positions().astype(np.float32))
    return found


def compare(file: Path) -> dict[str, tuple[float, float]]:
    """Run a study in this process: seconds foreseen and spent, by stage."""
    study = load_study(file)
    foreseen = Counter[str]()
    for cost in costs(study):
        foreseen.update({stage: 3600 * hours for stage, hours in cost.hours.items()})
    here = Counting()
    outcome = pipeline.run(study, lambda seconds: here, figure_tasks)
    assert not outcome.failures, outcome.failures
    return {stage: (foreseen[stage], here.spent[stage]) for stage in foreseen}


def rows() -> list[Row]:
    """Compare what is foreseen with what is spent; prints it by stage."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, given in STUDIES.items():
            file = write_study(folder, *given)
            for last in (False, True):
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.estimate", str(file)],
                    cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True,
                )  # fmt: skip
                if not last:
                    for path in folder.glob(f"{given[0]}.zarr*"):
                        path.rename(path.with_name(f"first.{path.name}"))
            stages = json.loads(done.stdout.splitlines()[-1])
            for stage, (foreseen, spent) in stages.items():
                print(f"  {what}: {stage}: foreseen {foreseen:.2f}, spent {spent:.2f} core seconds")
            foreseen, spent = (sum(each) for each in zip(*stages.values(), strict=True))
            found.append(ratio(f"foreseen core seconds: {what}", [foreseen], "spent", [spent], 1 - HONEST))
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.chdir(Path(sys.argv[1]).parent)
        print(json.dumps(compare(Path(sys.argv[1]))))
    else:
        rows()
