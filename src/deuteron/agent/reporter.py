"""Tells the server how this host is: every report interval, and at once when something changed."""

import http.client
import logging
import random
import threading
import time
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from deuteron.agent.connection import Server
from deuteron.agent.follower import authorization
from deuteron.agent.status import News, Status
from deuteron.plan.units import Report

log = logging.getLogger(__name__)

_BACK_OFF = (0.2, 5.0)
_FULL_EVERY = 60.0
"""Seconds between full reports, lest a report that the server lost stays lost."""
_PAUSE = 0.01
"""Seconds between reports at least."""
_TIMEOUT = 5.0


class Reporter(threading.Thread):
    """A thread that posts reports; those that do not arrive are made up for by a full one."""

    def __init__(
        self,
        server: Server,
        host: str,
        interval: float,
        status: Status,
        write: Callable[[News], Report],
        token: str = "",
    ) -> None:
        """Report on `host` every `interval` seconds; `write` makes a report of news."""
        super().__init__(name="reporter", daemon=True)
        self._server = server
        self._connection = server.connection(_TIMEOUT)
        self._path = f"/agent/v1/hosts/{quote(host, safe='')}/report"
        self._interval = interval
        self._status = status
        self._write = write
        self._headers = {"Content-Type": "application/json", **authorization(token)}

    def run(self) -> None:
        """Report, for ever."""
        failures, last, told_all = 0, "", time.monotonic()
        while True:
            if time.monotonic() - told_all > _FULL_EVERY:
                self._status.tell_all()
                told_all = time.monotonic()
            reason = self._post()
            if reason:
                self._status.tell_all()
                pause = min(_BACK_OFF[0] * 2**failures, _BACK_OFF[1]) * random.uniform(0.5, 1)
                failures = min(failures + 1, 10)
                time.sleep(pause)
            else:
                failures = 0
                self._status.delivered = time.monotonic()
                time.sleep(_PAUSE)
                self._status.changed.wait(self._interval)
            if reason and reason != last:
                log.warning("report to %s: %s", self._server, reason)
            last = reason

    def _post(self) -> str:
        """Post a report; return why it did not arrive, "" when it did."""
        body = msgspec.json.encode(self._write(self._status.take()))
        try:
            self._connection.request("POST", self._path, body, self._headers)
            response = self._connection.getresponse()
            text = response.read().decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return str(error) or type(error).__name__
        if response.status >= 300:
            return f"the server answered {response.status} {response.reason}: {text[:500]}"
        return ""
