"""GET /v1/events: what happened. With `follow` it does not end: what happens is told when it is committed."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Literal

import msgspec

from deuteron.api.codec import encode
from deuteron.api.services import Services
from deuteron.insight import happened
from deuteron.insight.happened import Event
from deuteron.resources.call import Call
from deuteron.store import Cursor, Tx, feed

KEEPALIVE_SECONDS = 1.0
_TURN_SECONDS = 0.2
_REMEMBERED = 1000


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events: those after the one with the id `since`, else the newest."""

    since: int | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    follow: bool = False


class Events(msgspec.Struct, frozen=True):
    """Events, the oldest first."""

    events: list[Event]


class Keepalive(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a stream: nothing happened."""

    kind: Literal["keepalive"] = "keepalive"
    at: float


def list_events(call: Call, query: EventsQuery) -> Events:
    """List what happened: hosts that died, promotions, moves, incidents, drains.

    With `follow=true` the answer is a stream of JSON lines that does not end: these events, then each one as
    it happens, and every second without one a keepalive.
    """
    return Events(happened.page(call.tx, query.since, query.limit))


class Followers:
    """Those who follow events; each is a coroutine that waits, no thread belongs to it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        services.db.on_commit(self._ring)

    def _ring(self) -> None:
        with self._lock:
            for loop, more in self._waiting:
                with contextlib.suppress(RuntimeError):  # it has ended with its server
                    loop.call_soon_threadsafe(more.set)

    async def lines(self, query: EventsQuery) -> AsyncIterator[bytes]:
        """Yield events as lines, for ever."""
        more = asyncio.Event()
        me = (asyncio.get_running_loop(), more)
        with self._lock:
            self._waiting.add(me)
        try:
            async for line in self._follow(query, more):
                yield line
        finally:
            with self._lock:
                self._waiting.discard(me)

    async def _follow(self, query: EventsQuery, more: asyncio.Event) -> AsyncIterator[bytes]:
        db, looked = self._services.db, time.monotonic()
        found, cursor = await db.read(lambda tx: _begin(tx, query))
        told: deque[int] = deque(maxlen=_REMEMBERED)
        while not self._services.stopping.is_set():
            for one in found:
                if one.id not in told:
                    told.append(one.id)
                    yield encode(one) + b"\n"
            found = []
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(more.wait(), _TURN_SECONDS)
            quiet = time.monotonic() - looked >= KEEPALIVE_SECONDS
            if more.is_set() or quiet:
                more.clear()
                looked, last = time.monotonic(), max(told, default=query.since or 0)
                found, cursor = await db.read(partial(happened.news, cursor=cursor, last=last))
            if quiet:
                yield encode(Keepalive(at=time.time())) + b"\n"


def _begin(tx: Tx, query: EventsQuery) -> tuple[list[Event], Cursor]:
    """Return what was, and from where on to look, in one snapshot."""
    cursor = feed.head(tx)
    return happened.page(tx, query.since, query.limit), cursor
