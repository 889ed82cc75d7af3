"""Who is who: the instance that asked for metadata."""

import ipaddress
import threading
from collections.abc import Callable

from deuteron.agent.metadata.legs import link_local
from deuteron.plan.units import Instance

PATIENCE = 20.0
"""Seconds for which a request waits until an agent that has just started knows its plan."""


class Directory:
    """The instances of this host, by who they are on their networks. For any thread."""

    def __init__(self, neighbour: Callable[[str, str], str | None]) -> None:
        """`neighbour` returns the MAC address that answers to (network, address) go to; None for none."""
        self.complete = threading.Event()
        """Set when the plan is known in full; until then, whoever asks waits."""
        self._neighbour = neighbour
        self._lock = threading.Lock()
        self._instances: dict[str, Instance] = {}  # port -> instance
        self._by_sign: dict[tuple[str, str], str] = {}  # (network, address or MAC address) -> port

    def put(self, instance: Instance) -> None:
        """Note an instance."""
        with self._lock:
            self._forget(instance.id)
            self._instances[instance.id] = instance
            for sign in _signs(instance):
                self._by_sign[instance.network, sign] = instance.id

    def delete(self, port: str) -> None:
        """Forget the instance behind a port."""
        with self._lock:
            self._forget(port)

    def find(self, network: str, address: str) -> Instance | None:
        """Return the instance that asks from an address of a network, as `canonical` writes it."""
        self.complete.wait(PATIENCE)
        found = self._find(network, address)
        if found is None and address.startswith("fe80:"):
            # Not one made of its MAC address: the answer goes to whoever has it, so that is who asks.
            mac = self._neighbour(network, address)
            found = self._find(network, mac) if mac else None
        return found

    def ports(self, instance: Instance) -> list[Instance]:
        """Return all ports of the machine that an instance's port belongs to."""
        with self._lock:
            machine = (instance.instance_id, instance.project_id)
            found = (i for i in self._instances.values() if (i.instance_id, i.project_id) == machine)
            return sorted(found, key=lambda port: port.id)

    def _find(self, network: str, sign: str) -> Instance | None:
        with self._lock:
            return self._instances.get(self._by_sign.get((network, sign), ""))

    def _forget(self, port: str) -> None:
        before = self._instances.pop(port, None)
        if before is None:
            return
        for sign in _signs(before):
            if self._by_sign.get((before.network, sign)) == port:
                del self._by_sign[before.network, sign]


def canonical(address: str) -> str:
    """Return an address as it is looked up; what is none, as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _signs(instance: Instance) -> list[str]:
    addresses = (canonical(one.address.partition("/")[0]) for one in instance.addresses)
    return [*addresses, link_local(instance.mac), instance.mac]
