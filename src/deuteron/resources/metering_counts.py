"""What routers have counted, summed over the hosts that have had them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import func, insert, select, update

from deuteron.resources import router
from deuteron.resources.call import Call
from deuteron.resources.metering import count, labels
from deuteron.store import Tx


class Count(NamedTuple):
    """What a twin of a router has counted since it began to."""

    router: str
    label: str
    packets: int
    bytes: int


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """What one router has counted under one label. `time` is when it did so last."""

    label_id: str
    label_name: str
    project_id: str
    """Of the label."""
    router_id: str
    router_name: str
    """ "" when it is gone."""
    packets: int
    bytes: int
    time: float


class Metering(msgspec.Struct, frozen=True):
    """What routers have counted, by label and router. It never shrinks."""

    metering: list[Metered]


def note(tx: Tx, host: str, now: float, counts: Sequence[Count]) -> None:
    """Store what a host's twins have counted.

    Whoever has counted less than before has begun anew, and what there was before stays counted.
    """
    if not counts:
        return
    named = sorted({one.label for one in counts})
    known = set(tx.execute(select(labels.table.c.id).where(labels.table.c.id.in_(named))).scalars())
    for one in counts:
        if one.label in known:
            _note(tx, host, now, one)


def _note(tx: Tx, host: str, now: float, one: Count) -> None:
    key = {"label_id": one.label, "router_id": one.router, "host": host}
    mine = [count.c[name] == value for name, value in key.items()]
    values: dict[str, float] = {"packets": one.packets, "bytes": one.bytes, "time": now}
    before = tx.execute(select(count).where(*mine)).first()
    if before is None:
        tx.execute(insert(count).values(**key, **values, packets_before=0, bytes_before=0))
        return
    if one.packets < before.packets or one.bytes < before.bytes:
        values["packets_before"] = before.packets_before + before.packets
        values["bytes_before"] = before.bytes_before + before.bytes
    tx.execute(update(count).where(*mine).values(**values))


def listing(call: Call) -> Metering:
    """Return what all routers have counted."""
    label, c = labels.table.c, count.c
    sums = (
        select(
            c.label_id,
            c.router_id,
            label.name,
            label.project_id,
            func.sum(c.packets + c.packets_before).label("packets"),
            func.sum(c.bytes + c.bytes_before).label("bytes"),
            func.max(c.time).label("time"),
        )
        .join(labels.table, label.id == c.label_id)
        .group_by(c.label_id, c.router_id, label.name, label.project_id)
        .order_by(c.label_id, c.router_id)
    )
    routers = router.resource.table.c
    names: Mapping[str, str] = {row.id: row.name for row in call.tx.execute(select(routers.id, routers.name))}
    return Metering(
        [
            Metered(
                label_id=row.label_id,
                label_name=row.name,
                project_id=row.project_id,
                router_id=row.router_id,
                router_name=names.get(row.router_id, ""),
                packets=int(row.packets),
                bytes=int(row.bytes),
                time=row.time,
            )
            for row in call.tx.execute(sums)
        ]
    )
