"""What this process did since it started, for the log and for those who show the state of a host."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Changes of connections, unless it says otherwise."""

    sent: int = 0
    """Each once, however many twins it was sent to."""
    received: int = 0
    created: int = 0
    updated: int = 0
    removed: int = 0
    failed: int = 0
    """That could not be copied."""
    lost: int = 0
    """Datagrams of twins that never came."""
    unsent: int = 0
    """Datagrams that the network of this host refused."""
    ignored: int = 0
    """Datagrams of strangers, or malformed."""
    overflows: int = 0
    """Times that the kernel had more to tell than there was room for."""
    dumps: int = 0
    """Whole tables sent."""

    def since(self, before: "Counters") -> dict[str, int]:
        """Return what was added since, without zeros."""
        old = asdict(before)
        return {name: value - old[name] for name, value in asdict(self).items() if value != old[name]}
