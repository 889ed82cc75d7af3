"""What requests below /v1 are answered with, where it is not said elsewhere. Times are Unix times."""

import msgspec

from deuteron.resources.conversion import Mode


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of a move, entered."""

    phase: str
    at: float
    reason: str


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A router's way to other candidates."""

    id: str
    router_id: str
    source: str | None = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    candidates: list[str]
    phase: str
    running: bool
    reason: str
    detail: str
    seconds: float
    steps: list[Step]


class MoveAnswer(msgspec.Struct, frozen=True):
    """A move."""

    move: Move


class MovesAnswer(msgspec.Struct, frozen=True):
    """Moves, the newest first."""

    moves: list[Move]


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """How a router becomes redundant or plain, distributed or central; of a dry run only what is planned."""

    router_id: str
    before: Mode = msgspec.field(name="from")
    after: Mode = msgspec.field(name="to")
    planned: list[str] = []
    """What is done, in order; only where it was asked for."""
    id: str = ""
    phase: str = ""
    running: bool = False
    detail: str = ""
    seconds: float = 0.0
    steps: list[Step] = []


class ConversionAnswer(msgspec.Struct, frozen=True):
    """A conversion."""

    conversion: Conversion


class ConversionsAnswer(msgspec.Struct, frozen=True):
    """Conversions, the newest first."""

    conversions: list[Conversion]


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """Another host became the active one of a router."""

    epoch: int
    at: float
    before: str | None = msgspec.field(name="from")
    after: str = msgspec.field(name="to")
    cause: str
    gap_ms: float | None = None
    """How long nobody was active, as the switch of the new active host measured it; None where nobody did."""


class HistoryAnswer(msgspec.Struct, frozen=True):
    """Who was active for a router, the newest first."""

    history: list[Promotion]


class StoredInstance(msgspec.Struct, frozen=True, kw_only=True):
    """What metadata says to an instance."""

    device_id: str
    name: str
    user_data: str | None
    public_keys: dict[str, str]
    metadata: dict[str, str]


class InstanceAnswer(msgspec.Struct, frozen=True):
    """An instance."""

    instance: StoredInstance
