"""HTTP servers that answer only requests whose path begins with a secret: every user of a machine reaches its loopback."""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import Application, RequestHandler, stream_request_body


def new_prefix() -> str:
    """`/SECRET/`, the beginning of every path of a server."""
    return f"/{secrets.token_urlsafe(24)}/"


def require(application: Application, prefix: str, printed_by: str) -> None:
    """Answer only requests whose path begins with the prefix, before any other rule; `printed_by` says who has the address."""
    refusal = {"text": f"Use the full address, printed by {printed_by}.\n"}
    application.default_router.rules.insert(0, Rule(_Outside(prefix), _Refusal, refusal))


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

    def initialize(self, text: str) -> None:
        self.text = text

    def prepare(self) -> None:
        self.set_status(403)
        self.finish(self.text)

    def data_received(self, chunk: bytes) -> None:
        pass
