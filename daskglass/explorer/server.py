"""The server of the explorer: on loopback, with a secret in its address."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

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


def start(store: Path) -> tuple[BaseServer, str]:
    """Server, which answers once its loop runs, and its address."""
    # what is wrong with a store is said here, not on a page
    runs_of(open_tree(store))
    prefix = new_prefix()
    sockets, port = bind_sockets(LOOPBACK, 0)
    pages = {f"/{PAGE}": Application(FunctionHandler(partial(fill, store)))}
    # pages of other sites may not open a websocket here, even with the address
    origins = [f"{LOOPBACK}:{port}", f"localhost:{port}"]
    application = BokehTornado(pages, prefix=prefix, extra_websocket_origins=origins)
    require(application, prefix, "`daskglass explore STORE`")
    http = HTTPServer(application)
    http.add_sockets(sockets)
    server = BaseServer(IOLoop.current(), application, http)
    server.start()
    return server, f"http://{LOOPBACK}:{port}{prefix}{PAGE}"
