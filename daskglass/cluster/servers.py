"""Dask's scheduler and worker, with HTTP pages only for the owner of the run.

Dask's pages show everything that a run does and have no login, and every user of the machine can reach its loopback. So
every address on the scheduler's server begins with a secret, and workers have no HTTP server.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any

import distributed
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler, stream_request_body

from daskglass.cluster.job_script import LOOPBACK


class PrivateScheduler(distributed.Scheduler):
    """Scheduler whose HTTP server answers only requests that contain its secret.

    Attributes
    ----------
    prefix : `/SECRET/`, the beginning of every page's path
    """

    def __init__(self, **options: Any) -> None:
        self.prefix = f"/{secrets.token_urlsafe(24)}/"
        super().__init__(**options, http_prefix=self.prefix)

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start it, with the secret required from the first connection on."""
        super().start_http_server(*arguments, **options)
        # before every other rule: Dask lists and redirects to its pages from addresses without the prefix
        self.http_application.default_router.rules.insert(0, Rule(_Outside(self.prefix), _Refusal))

    @property
    def dashboard(self) -> str:
        """Address of Dask's first page, with the secret, as seen from this machine."""
        return f"http://{LOOPBACK}:{self.http_server.port}{self.prefix}status"


class PrivateWorker(distributed.Worker):
    """Worker without an HTTP server: the scheduler's pages show the same."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Do nothing."""


class _Outside(Matcher):
    """Matches requests, also for websockets, whose path does not begin with the secret."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix.encode()

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        begin = request.path.encode(errors="replace")[: len(self.prefix)]
        return None if hmac.compare_digest(begin, self.prefix) else {}


@stream_request_body
class _Refusal(RequestHandler):
    """Answer to requests without the secret, sent before any of their data is read."""

    def prepare(self) -> None:
        self.set_status(403)
        self.finish("Use the full address, printed by `daskglass run` and `daskglass watch STORE`.\n")

    def data_received(self, chunk: bytes) -> None:
        pass
