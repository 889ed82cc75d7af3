"""Reads what the kernel logs, and writes it down."""

import contextlib
import logging
import logging.handlers
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deuteron.agent.packetlog.describe import describe, ends
from deuteron.agent.packetlog.lines import SNAT, concerned, lines
from deuteron.agent.packetlog.translations import Translations
from deuteron.agent.system import nflog
from deuteron.agent.system.nflog import Packet
from deuteron.plan.units import Log

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where packets are logged: the host (no name), or a router's namespace."""

    name: str
    socket: socket.socket
    translations: Translations | None


def output(path: str) -> Callable[[str], None]:
    """Return what writes a line to a file, which may be moved away at any time, or to the agent's log.

    Raises OSError where there can be no such file.
    """
    written = logging.getLogger("deuteron.packets")
    if path:
        handler = logging.handlers.WatchedFileHandler(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        written.handlers[:] = [handler]
        written.propagate = False
    written.setLevel(logging.INFO)
    return lambda line: written.info("%s", line)


class Reader(threading.Thread):
    """A thread that writes down what is logged in some places."""

    def __init__(self, port_of: Callable[[int], str], write: Callable[[str], None]) -> None:
        """`port_of` says which port's packets have a mark, "" if nobody's. Begin with start()."""
        super().__init__(name="packet-log", daemon=True)
        self.ports: Mapping[str, Sequence[Log]] = {}
        """Port -> its logs; replaced as a whole."""
        self.routers: Mapping[str, tuple[str, Sequence[Log]]] = {}
        """Namespace -> the router and its logs; replaced as a whole."""
        self._port_of = port_of
        self._write = write
        self._places: dict[int, Place] = {}
        self._poll = select.epoll()

    def add(self, place: Place) -> None:
        """Read there, too."""
        self._places[place.socket.fileno()] = place
        self._poll.register(place.socket, select.EPOLLIN)

    def remove(self, name: str) -> None:
        """Read there no more."""
        for number, place in [*self._places.items()]:
            if place.name == name:
                del self._places[number]
                self._poll.unregister(number)
                place.socket.close()
                if place.translations:
                    place.translations.close()

    def run(self) -> None:
        """Read, for ever."""
        while True:
            try:
                for number, _ in self._poll.poll():
                    if place := self._places.get(number):
                        self._read(place)
            except Exception:  # what is not foreseen must not end the reading
                log.exception("packet log: goes on")

    def _read(self, place: Place) -> None:
        with contextlib.suppress(OSError):  # too much for the buffer, or closed meanwhile
            for packet in nflog.packets(place.socket.recv(1 << 16)):
                for line in self._lines(place, packet):
                    self._write(line)

    def _lines(self, place: Place, packet: Packet) -> Iterator[str]:
        if place.translations is None:
            port = self._port_of(packet.mark)
            found = concerned(self.ports.get(port, ()), packet.prefix)
            action = packet.prefix.partition(" ")[0]
            yield from lines(action, found, f"vm_port={port}", describe(packet))
            return
        router, logs = self.routers.get(place.name, ("", ()))
        both = ends(packet)
        source = place.translations.source(both) if both else ""
        what = f"router={router}" + (f" source={source}" if source else "")
        yield from lines(SNAT, logs, what, describe(packet))
