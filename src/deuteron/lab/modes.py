"""How a router can be redundant and distributed, and what the death of a host may cost in each mode."""

from dataclasses import dataclass

TAKEOVER_MS = 1000.0
"""What a takeover by a host that stood by may take."""
REPLACEMENT_MS = 15000.0
"""What it may take where nobody stands by: until the host counts as dead, and another one has built it."""


@dataclass(frozen=True)
class Mode:
    """One of the four, by its name in `deuteron convert`."""

    name: str
    redundant: bool
    distributed: bool

    @property
    def takeover_ms(self) -> float:
        """What the death of the host with the central part may cost those who go through it."""
        return TAKEOVER_MS if self.redundant else REPLACEMENT_MS

    def candidates(self, hosts: int) -> int:
        """Return how many of so many network hosts carry the central part."""
        return hosts if self.redundant else 1


MODES = {
    mode.name: mode
    for mode in (
        Mode("legacy", False, False),
        Mode("ha", True, False),
        Mode("dvr", False, True),
        Mode("dvr-ha", True, True),
    )
}
