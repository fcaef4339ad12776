"""Simulate: one task per temperature and replica, each after that of the next hotter temperature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daskglass.engines.sweep import Link
from daskglass.engines.sweep import simulate as simulate_link
from daskglass.registry import ENGINES
from daskglass.stages.declare import RECORDED, Item, Place, Plan, Stage, Step


@dataclass(frozen=True)
class Simulations:
    """Every temperature of every replica, from hot to cold."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the simulations."""
        hotter: Place | None = None
        for simulation in plan.source.simulations:
            link = simulation.link
            place = Place(link.system, link.temperature, link.replica)
            follows = () if link.previous is None or hotter is None else (hotter,)
            yield Item(place, (link,), simulation.inputs, follows)
            hotter = place

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the simulations."""
        return {"": len(plan.source.simulations)}


def simulate(link: Link) -> dict[str, Any]:
    """Run one link of a temperature sweep."""
    receipt = simulate_link(link)
    return {
        "relaxation_time": receipt.relaxation_time,
        "energy": receipt.energy,
        "pressure": receipt.pressure,
        "steps": receipt.steps,
        "seconds": receipt.wall,
    }


def _seconds(plan: Plan, gpu: bool) -> float:
    effort = plan.source.effort()
    engine = ENGINES[effort.engine]
    speed = engine.gpu if gpu and engine.gpu else engine.core
    # steps that nobody knows would make a time of no use
    return 0.0 if effort.notes else effort.particle_steps / speed.steps[effort.shifted]


STAGE = Stage(
    "simulate",
    (
        Step(
            simulate,
            over=Simulations(),
            writes=(RECORDED,),
            memory=lambda plan, run: plan.source.particles * ENGINES[plan.source.effort().engine].memory,
            seconds=_seconds,
            when=lambda plan: bool(plan.source.simulations),
        ),
    ),
)
