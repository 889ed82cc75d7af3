"""Leases: work that must run once in a fleet of controllers.

The time is the database's, so controllers' clocks do not matter. Each new holder has a higher
`epoch`, a fencing token: a holder that was frozen and wakes up fails at its next `fence`.
"""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Float, String, Table, text

from deuteron.store.database import Tx
from deuteron.store.schema import metadata

lease = Table(
    "lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires", Float(53), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was held when it was given or renewed; only `fence` says whether it still is."""

    name: str
    holder: str
    epoch: int


class LeaseLost(Exception):
    """Another holder has the lease now: stop, write nothing."""


_NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch FROM clock_timestamp())::float8",
}
_ACQUIRE = {
    dialect: text(
        "INSERT INTO lease (name, holder, epoch, expires)"
        f" VALUES (:name, :holder, 1, {now} + :ttl)"
        " ON CONFLICT (name) DO UPDATE"
        " SET holder = excluded.holder, epoch = lease.epoch + 1, expires = excluded.expires"
        f" WHERE lease.expires < {now} RETURNING epoch"
    )
    for dialect, now in _NOW.items()
}
_RENEW = {
    dialect: text(
        f"UPDATE lease SET expires = {now} + :ttl WHERE name = :name AND holder = :holder AND epoch = :epoch"
    )
    for dialect, now in _NOW.items()
}
_FENCE = {
    "sqlite": text("SELECT 1 FROM lease WHERE name = :name AND holder = :holder AND epoch = :epoch"),
    # The lock keeps the lease from being taken before this transaction ends.
    "postgresql": text(
        "SELECT 1 FROM lease WHERE name = :name AND holder = :holder AND epoch = :epoch FOR SHARE"
    ),
}
_RELEASE = text("UPDATE lease SET expires = 0 WHERE name = :name AND holder = :holder AND epoch = :epoch")


def _key(held: Lease) -> dict[str, str | int]:
    return {"name": held.name, "holder": held.holder, "epoch": held.epoch}


def acquire(tx: Tx, name: str, holder: str, ttl: float) -> Lease | None:
    """Take a lease that is free or expired, for `ttl` seconds; None if somebody holds it."""
    row = tx.execute(_ACQUIRE[tx.dialect], {"name": name, "holder": holder, "ttl": ttl}).first()
    return None if row is None else Lease(name, holder, row.epoch)


def renew(tx: Tx, held: Lease, ttl: float) -> bool:
    """Hold it for another `ttl` seconds; False if it was taken by somebody else."""
    return tx.execute(_RENEW[tx.dialect], {**_key(held), "ttl": ttl}).rowcount == 1


def fence(tx: Tx, held: Lease) -> None:
    """Make this transaction valid only while the lease is held. Raises LeaseLost."""
    if tx.execute(_FENCE[tx.dialect], _key(held)).first() is None:
        raise LeaseLost(f"{held.name}: no longer held by {held.holder} (epoch {held.epoch})")


def release(tx: Tx, held: Lease) -> None:
    """Give it back, so that another need not wait."""
    tx.execute(_RELEASE, _key(held))
