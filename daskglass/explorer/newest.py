"""Work for a page, done in a thread: the newest of what is wanted, and nothing that is not wanted any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from bokeh.document import Document, without_document_lock

from daskglass.errors import DaskglassError

# a store that is being written is read again at the next change
BEING_WRITTEN = (DaskglassError, OSError, KeyError, ValueError, RuntimeError)

Wanted = TypeVar("Wanted")


class Newest(Generic[Wanted]):
    """Steps that are taken one after the other in a thread, each of which returns what draws its result.

    Parameters
    ----------
    doc : that is drawn into
    steps : functions of what is wanted; once something else is wanted, the steps that are left are not taken
    fail : draws the reason why a step failed
    """

    def __init__(
        self, doc: Document, steps: Sequence[Callable[[Wanted], partial[None]]], fail: Callable[[str], None]
    ) -> None:
        self._doc, self._steps, self._fail = doc, steps, fail
        self._wanted: Wanted | None = None
        self._working = self._stopped = False

    def want(self, wanted: Wanted) -> None:
        """Begin with something; what was wanted before is forgotten."""
        self._wanted = wanted
        if not self._working:
            self._working = True
            self._doc.add_next_tick_callback(self._work)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Take no more steps: nobody looks."""
        self._stopped = True

    @without_document_lock
    async def _work(self) -> None:
        done = None
        try:
            while not self._stopped and self._wanted is not None and done is not self._wanted:
                done = self._wanted
                await self._take_steps(done)
        finally:
            self._working = False

    async def _take_steps(self, wanted: Wanted) -> None:
        for step in self._steps:
            try:
                draw = await asyncio.to_thread(step, wanted)
            except BEING_WRITTEN as error:
                named = "" if isinstance(error, DaskglassError) else f"{type(error).__name__}: "
                draw = partial(self._fail, f"{named}{error}")
            if self._stopped or wanted is not self._wanted:
                return
            self._doc.add_next_tick_callback(draw)
            if draw.func is self._fail:
                return
