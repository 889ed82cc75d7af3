"""Networks and ports on this host; one driver a module."""

from typing import Protocol

from deuteron.agent.manager import Manager


class Layer2(Manager, Protocol):
    """A manager of Network, Port and Remote units that also follows what others plug into the host."""

    def concerns(self, device: str) -> bool:
        """Return whether news about a device are of interest. From any thread."""
        ...

    def device_changed(self, device: str) -> None:
        """Note that a device came, went or changed. No I/O."""
        ...
