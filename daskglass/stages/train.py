"""Train: the linear support-vector machine that defines softness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daskglass import physics
from daskglass.stages.declare import SMALL, Stage, Step, WholeSystem
from daskglass.stages.structure import examples_bytes
from daskglass.store.blocks import read_table, write_table


def train(path: Path, system: str, *, samples_per_class: int, C: float, seed: int) -> dict[str, Any]:
    """Fit the softness of a system to its examples."""
    model = physics.softness.Softness.fit(read_table(path, f"{system}/examples"), seed, samples_per_class, C)
    write_table(path, f"{system}/model", model.to_dataset())
    return {"accuracy": model.metrics["accuracy"]}


STAGE = Stage(
    "train",
    (
        Step(
            train,
            over=WholeSystem(),
            tables=("examples",),
            table="model",
            settings={
                "samples_per_class": "softness.samples_per_class",
                "C": "softness.C",
                "seed": "softness.seed",
            },
            memory=lambda plan, run: SMALL + 10 * examples_bytes(plan),
            # most of it is the import of scikit-learn
            seconds=lambda plan, gpu: 0.9 + 5e-6 * 2 * plan.settings["softness.samples_per_class"],
        ),
    ),
)
