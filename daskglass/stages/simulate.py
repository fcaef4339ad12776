"""Simulate: one task per temperature and replica, each after that of the next hotter temperature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daskglass.engines.sweep import Link
from daskglass.engines.sweep import simulate as simulate_link
from daskglass.stages.declare import RECORDED, Item, Place, Plan, Stage, Step

ENGINE = 800  # bytes of a particle: neighbour lists and all else in LAMMPS, measured


@dataclass(frozen=True)
class Simulations:
    """Every temperature of every replica, from hot to cold."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the simulations."""
        hotter: Place | None = None
        for simulation in plan.source.simulations():
            link = simulation.link
            place = Place(link.system, link.temperature, link.replica)
            follows = () if link.previous is None or hotter is None else (hotter,)
            yield Item(place, (link,), simulation.inputs, follows)
            hotter = place

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the simulations."""
        return {"": len(plan.source.simulations())}


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


STAGE = Stage(
    "simulate",
    (
        Step(
            simulate,
            over=Simulations(),
            writes=(RECORDED,),
            memory=lambda plan, run: plan.source.particles * ENGINE,
            seconds=lambda plan: plan.source.effort().seconds,
            when=lambda plan: bool(plan.source.simulations()),
        ),
    ),
)
