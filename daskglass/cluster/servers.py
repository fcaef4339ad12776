"""Dask's scheduler and worker, with HTTP pages only for the owner of the run.

Dask's pages show everything that a run does and have no login, and every user of the machine can reach its loopback. So
every address on the scheduler's server begins with a secret, and workers have no HTTP server.
"""

from __future__ import annotations

from typing import Any

import distributed

from daskglass.cluster.job_script import LOOPBACK
from daskglass.cluster.secret_path import new_prefix, require


class PrivateScheduler(distributed.Scheduler):
    """Scheduler whose HTTP server answers only requests that contain its secret.

    Attributes
    ----------
    prefix : `/SECRET/`, the beginning of every page's path
    """

    def __init__(self, **options: Any) -> None:
        self.prefix = new_prefix()
        super().__init__(**options, http_prefix=self.prefix)

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start it, with the secret required from the first connection on."""
        super().start_http_server(*arguments, **options)
        # Dask lists and redirects to its pages from addresses without the prefix
        require(self.http_application, self.prefix, "`daskglass run` and `daskglass watch STORE`")

    @property
    def dashboard(self) -> str:
        """Address of Dask's first page, with the secret, as seen from this machine."""
        return f"http://{LOOPBACK}:{self.http_server.port}{self.prefix}status"


class PrivateWorker(distributed.Worker):
    """Worker without an HTTP server: the scheduler's pages show the same."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Do nothing."""
