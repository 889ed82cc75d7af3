"""Notes whose packets are to be written down, and listens where they are logged."""

import errno
import os

from deuteron.agent.l3 import wanted
from deuteron.agent.packetlog.reader import Place, Reader
from deuteron.agent.packetlog.translations import Translations
from deuteron.agent.system import netns, nflog
from deuteron.plan.units import Logged, Router, Unit

_HOST = ""


class PacketLogs:
    """Listens on the host when packets of ports are logged, and in the namespaces of routers that are."""

    kinds: tuple[type[Unit], ...] = (Logged, Router)
    pending = False

    def __init__(self, reader: Reader) -> None:
        """`reader` has been started."""
        self._reader = reader
        self._ports: dict[str, Logged] = {}
        self._routers: dict[str, Router] = {}
        self._inodes: dict[str, int] = {}  # namespace -> which one of this name is listened to

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        if isinstance(unit, Logged):
            self._ports[unit.id] = unit
        elif isinstance(unit, Router):
            self._routers.pop(unit.id, None)
            if unit.services.logs:
                self._routers[unit.id] = unit

    def delete(self, key: str) -> None:
        """Forget a unit."""
        kind, _, id_ = key.partition("/")
        if kind == "logged":
            self._ports.pop(id_, None)
        elif kind == "router":
            self._routers.pop(id_, None)

    def recheck(self) -> None:
        """Namespaces are looked at each time."""

    def apply(self) -> dict[str, str]:
        """Listen where there is something to hear; return what failed."""
        places = {wanted.namespace(router): f"router/{router.id}" for router in self._routers.values()}
        self._reader.ports = {id_: unit.logs for id_, unit in self._ports.items()}
        self._reader.routers = {
            wanted.namespace(router): (router.id, router.services.logs) for router in self._routers.values()
        }
        if self._ports:
            places[_HOST] = "agent/packet-log"
        for name in self._inodes.keys() - places.keys():
            self._forget(name)
        problems = {}
        for name, key in places.items():
            try:
                self._listen(name)
            except OSError as error:
                self._forget(name)
                problems[key] = f"packets are not written down: {_words(error)}"
        return problems

    def _listen(self, name: str) -> None:
        inode = os.stat(netns.path(name)).st_ino if name else 1  # noqa: PTH116 - raises OSError
        if self._inodes.get(name) == inode:
            return
        self._forget(name)
        if name:
            with netns.entered(name):
                place = Place(name, nflog.listen(), Translations())
        else:
            place = Place(name, nflog.listen(), None)
        self._reader.add(place)
        self._inodes[name] = inode

    def _forget(self, name: str) -> None:
        if self._inodes.pop(name, None) is not None:
            self._reader.remove(name)


def _words(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return f"another program reads what is logged for group {nflog.GROUP}"
    if error.errno == errno.ENOENT:
        return "the router's namespace is not there yet"
    return f"{error.strerror} (needs CONFIG_NETFILTER_NETLINK_LOG)"
