"""On which hosts something is, and because of which ports."""


class Presence:
    """Things (by id), the hosts on which they are, and the ports that are the reason."""

    def __init__(self) -> None:
        self.hosts: dict[str, dict[str, set[str]]] = {}
        """Thing -> host -> ports."""
        self.things: dict[str, set[str]] = {}
        """Host -> things."""
        self._places: dict[str, set[tuple[str, str]]] = {}

    def place(self, port: str, now: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Say the (thing, host) of which a port is a reason; return those that appeared or ended by it."""
        before = self._places.pop(port, set())
        if now:
            self._places[port] = now
        changed = set()
        for thing, host in before - now:
            ports = self.hosts[thing][host]
            ports.discard(port)
            if not ports:
                self._remove(thing, host)
                changed.add((thing, host))
        for thing, host in now - before:
            ports = self.hosts.setdefault(thing, {}).setdefault(host, set())
            if not ports:
                self.things.setdefault(host, set()).add(thing)
                changed.add((thing, host))
            ports.add(port)
        return changed

    def _remove(self, thing: str, host: str) -> None:
        del self.hosts[thing][host]
        if not self.hosts[thing]:
            del self.hosts[thing]
        self.things[host].discard(thing)
        if not self.things[host]:
            del self.things[host]
