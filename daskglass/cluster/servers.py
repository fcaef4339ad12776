"""Dask's scheduler and worker as a run starts them: over HTTP they answer the owner of the run, and nobody else.

Dask's pages, those of the study among them, show everything that a run does, and know no login. Whoever has an account on
the machine can reach its loopback. So every address on the scheduler's server begins with a secret, and workers have no
server for HTTP at all.
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
    """Scheduler whose HTTP server answers only those who know its secret.

    Attributes
    ----------
    prefix : `/SECRET/`, with which the path of every page begins
    """

    def __init__(self, **options: Any) -> None:
        self.prefix = f"/{secrets.token_urlsafe(24)}/"
        super().__init__(**options, http_prefix=self.prefix)

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start it, closed to strangers before it takes its first connection."""
        super().start_http_server(*arguments, **options)
        # before every other rule: Dask lists and redirects to its pages from addresses without the prefix
        self.http_application.default_router.rules.insert(0, Rule(_Outside(self.prefix), _Refusal))

    @property
    def dashboard(self) -> str:
        """Address of Dask's first page, the secret included, as seen from this machine."""
        return f"http://{LOOPBACK}:{self.http_server.port}{self.prefix}status"


class PrivateWorker(distributed.Worker):
    """Worker that serves no HTTP: what it would show is on the pages of the scheduler too."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start none."""


class _Outside(Matcher):
    """Matches requests whose path does not begin with the secret, those for websockets too."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix.encode()

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        begin = request.path.encode(errors="replace")[: len(self.prefix)]
        return None if hmac.compare_digest(begin, self.prefix) else {}


@stream_request_body
class _Refusal(RequestHandler):
    """Answer to those who do not know the secret, given before anything they send is taken."""

    def prepare(self) -> None:
        self.set_status(403)
        self.finish("Use the whole address: `daskglass run` prints it, and `daskglass watch STORE` shows it.\n")

    def data_received(self, chunk: bytes) -> None:
        pass
