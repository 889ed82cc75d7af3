"""Follows the plan stream of the server, for ever."""

import http.client
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import NoReturn
from urllib.parse import quote, urlencode

import msgspec

from deuteron.agent.connection import Server
from deuteron.agent.plan import Batch
from deuteron.plan.units import Message

log = logging.getLogger(__name__)

SILENCE = 5.0
"""Seconds without a line (the server sends one every second) after which a stream counts as broken."""
_BACK_OFF = (0.1, 5.0)


def authorization(token: str) -> dict[str, str]:
    """Return the header that shows the server the token that it shares with agents, if there is one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


class StreamBroken(Exception):
    """The stream ended or cannot be had; the text says why."""


class Follower(threading.Thread):
    """A thread that hands on every consistent batch of changes, and reconnects where it was."""

    def __init__(
        self,
        server: Server,
        host: str,
        revision: str,
        deliver: Callable[[Batch], None],
        token: str = "",
    ) -> None:
        """Follow the plan of `host` from `revision` on ("" for a whole plan); start() begins."""
        super().__init__(name="follower", daemon=True)
        self._server = server
        self._path = f"/agent/v1/hosts/{quote(host, safe='')}/plan"
        self._revision = revision
        self._deliver = deliver
        self._lines = 0
        self._headers = authorization(token)
        self._decoder = msgspec.json.Decoder(Message)

    def run(self) -> None:
        """Follow, for ever."""
        failures, last = 0, ""
        while True:
            self._lines = 0
            try:
                self._follow()
            except (OSError, http.client.HTTPException, StreamBroken) as error:
                reason = str(error) or type(error).__name__
            if self._lines:
                failures, last = 0, ""
            if reason != last:
                log.warning("plan stream of %s: %s; trying again", self._server, reason)
                last = reason
            pause = min(_BACK_OFF[0] * 2**failures, _BACK_OFF[1])
            failures = min(failures + 1, 10)
            time.sleep(pause * random.uniform(0.5, 1))

    def _follow(self) -> NoReturn:
        connection = self._server.connection(SILENCE)
        try:
            query = "?" + urlencode({"since": self._revision}) if self._revision else ""
            connection.request("GET", self._path + query, headers=self._headers)
            response = connection.getresponse()
            if response.status != 200:
                text = response.read(500).decode(errors="replace").strip()
                raise StreamBroken(f"the server answered {response.status} {response.reason}: {text}")
            log.info("following the plan of %s since %r", self._server, self._revision)
            batch = Batch()
            while True:
                line = response.readline()
                if not line.endswith(b"\n"):
                    raise StreamBroken("the stream ended")
                if self._add(batch, line):
                    self._revision = batch.revision
                    self._deliver(batch)
                    batch = Batch()
                self._lines += 1
        finally:
            connection.close()

    def _add(self, batch: Batch, line: bytes) -> bool:
        try:
            return batch.add(self._decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            key = _key_of(line)
            if key is None:
                raise StreamBroken(f"unreadable line {line[:200]!r}: {error}") from None
            log.error("%s: this agent does not understand it: %s", key, error)
            batch.unreadable[key] = f"this agent does not understand it: {error}"
            return False


def _key_of(line: bytes) -> str | None:
    """Return the key of a unit that cannot be decoded; None when the line is no Put of a unit."""
    try:
        message = json.loads(line)
        if message["op"] != "put":
            return None
        return f"{message['unit']['kind']}/{message['unit']['id']}"
    except (ValueError, KeyError, TypeError):
        return None
