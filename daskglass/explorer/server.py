"""The server of the explorer: on loopback, with a secret in its address."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.server.server import Server

from daskglass.cluster.job_script import LOOPBACK
from daskglass.cluster.secret_path import new_prefix, require
from daskglass.explorer.frames import runs_of
from daskglass.explorer.page import fill
from daskglass.store.blocks import open_tree

PAGE = "explore"


def serve(store: Path, tell: Callable[[str], None]) -> None:
    """Serve the explorer of a store until Ctrl-C; `tell` is given its address once it answers.

    Raises
    ------
    StoreError
        If there is no store, or nothing in it to show.
    """
    server, address = start(store)
    server.io_loop.add_callback(tell, address)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        server.stop()


def start(store: Path) -> tuple[Server, str]:
    """Server, which answers once its loop runs, and its address."""
    # what is wrong with a store is said here, not on a page
    runs_of(open_tree(store))
    prefix = new_prefix()
    server = Server(
        {f"/{PAGE}": Application(FunctionHandler(partial(fill, store)))},
        address=LOOPBACK, port=0, prefix=prefix,
        # a tunnel may end at another port
        allow_websocket_origin=[f"{LOOPBACK}:*", "localhost:*"],
    )  # fmt: skip
    require(server._tornado, prefix, "`daskglass explore STORE`")
    server.start()
    return server, f"http://{LOOPBACK}:{server.port}{prefix}{PAGE}"
