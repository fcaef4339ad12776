"""The command that shows the particles of a store in a browser."""

from __future__ import annotations

from daskglass.cli.options import Debug, Store
from daskglass.cli.tables import say


def explore(store: Store, debug: Debug = False) -> None:
    """Look into a store in a browser: a slab of particles, histograms, P_R and g(r) of what is brushed."""
    from daskglass.explorer.server import serve

    serve(store, lambda address: say(f"explorer: {address}\nCtrl-C stops it"))
