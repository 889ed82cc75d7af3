"""Routers that become something else while they are up: what was asked for, how far it is, who has followed.

Whoever changes the mode of a router writes down here that it is to be converted; placement does it.
"""

import time
import uuid
from typing import Any, Literal

from sqlalchemy import Boolean, Column, Float, Integer, String, Table, Text, delete, insert, select, update

from deuteron.store import ID_LENGTH, Json, Tx, metadata

Mode = Literal["legacy", "ha", "dvr", "dvr-ha"]
"""How a router is redundant and distributed, in one word."""
MODES: dict[Mode, tuple[bool, bool]] = {
    "legacy": (False, False),
    "ha": (True, False),
    "dvr": (False, True),
    "dvr-ha": (True, True),
}
"""Mode -> (redundant, distributed)."""
KEPT_SECONDS = 30 * 86400.0
"""Conversions that ended are told of so long."""

router_conversion = Table(
    "router_conversion",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("router_id", String(ID_LENGTH), nullable=False, index=True),
    Column("running", String(ID_LENGTH), unique=True),
    Column("from_mode", String(8), nullable=False),
    Column("to_mode", String(8), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("phase_since", Float(53), nullable=False),
    Column("returns", Boolean, nullable=False),
    Column("steps", Json, nullable=False),
    Column("detail", Text, nullable=False),
)
"""`running` is the router's id until it has ended: one at a time. `phase` is "requested", the rung that was
taken last (see deuteron.resources.distribution), "done" or "failed"; one that cannot go on `returns` to what
was before."""

router_part = Table(
    "router_part",
    metadata,
    Column("router_id", String(ID_LENGTH), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("applied", Integer, nullable=False),
)
"""Hosts that have to follow a rung of a router that is being converted: `version` goes up with each rung,
`applied` is the one that the host has followed."""


def mode_of(*, ha: bool, distributed: bool) -> Mode:
    """Return the mode of a router in one word."""
    return next(mode for mode, of in MODES.items() if of == (ha, distributed))


def begin(tx: Tx, router_id: str, before: Mode, after: Mode) -> str:
    """Write down that a router is to be converted, or to something else than was said; return the id."""
    old = (
        router_conversion.c.running.is_(None),
        router_conversion.c.phase_since < time.time() - KEPT_SECONDS,
    )
    tx.execute(delete(router_conversion).where(router_conversion.c.router_id == router_id, *old))
    now = time.time()
    running = running_of(tx, router_id)
    step = ["requested", now, f"{before} -> {after}"]
    if running is not None:
        mine = router_conversion.c.id == running.id
        values: dict[str, Any] = {"to_mode": after, "returns": False, "steps": [*running.steps, step]}
        tx.execute(update(router_conversion).where(mine).values(phase_since=now, **values))
        id_ = str(running.id)
    else:
        id_ = str(uuid.uuid4())
        values = {"id": id_, "router_id": router_id, "running": router_id, "from_mode": before}
        values |= {"to_mode": after, "phase": "requested", "phase_since": now, "returns": False}
        tx.execute(insert(router_conversion).values(**values, steps=[step], detail=""))
    tx.changed("router_conversion", id_, "update")
    return id_


def running_of(tx: Tx, router_id: str) -> Any:
    """Return the conversion of a router that is under way, or None."""
    return tx.execute(select(router_conversion).where(router_conversion.c.running == router_id)).first()


def forget(tx: Tx, router_id: str) -> None:
    """Forget what was asked of a router that is deleted."""
    for table in (router_conversion, router_part):
        tx.execute(delete(table).where(table.c.router_id == router_id))
