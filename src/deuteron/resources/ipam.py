"""Addresses of subnets: which port has which. That no two have the same is the table's key.

A free address is found without a search: each process remembers for each subnet how far it has
come, takes the next one and inserts it. Only when that one is taken it looks at all of the subnet's.
So an address that was given back is given out again only when the process has been through the pool.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, String, Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from deuteron.resources import addresses
from deuteron.resources.addresses import Range, parse_network
from deuteron.resources.call import Call
from deuteron.resources.subnet import pool_ranges
from deuteron.store import ID_LENGTH, Tx, metadata

fixed_ip = Table(
    "fixed_ip",
    metadata,
    Column("subnet_id", String(ID_LENGTH), ForeignKey("subnet.id"), primary_key=True),
    Column("ip_address", String(45), primary_key=True),
    Column(
        "port_id", String(ID_LENGTH), ForeignKey("port.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("position", Integer, nullable=False),
)
"""Changes of a port's addresses are in the change log as the port's."""

_TRIES = 8


def take(tx: Tx, subnet_id: str, address: str, port_id: str, position: int) -> bool:
    """Give an address to a port; False if a port has it already."""
    row = {"subnet_id": subnet_id, "ip_address": address, "port_id": port_id, "position": position}
    return tx.execute(_insert(tx.dialect), row).rowcount == 1


def take_free(tx: Tx, subnet: Mapping[str, Any], port_id: str, position: int) -> str | None:
    """Give a free address of the subnet's pools to a port; None if there is none."""
    network, pools = parse_network(subnet["cidr"]), pool_ranges(subnet)
    for _ in range(_TRIES):
        number = _next(tx, subnet["id"], pools)
        if number is None:
            break
        address = str(addresses.from_int(network, number))
        if take(tx, subnet["id"], address, port_id, position):
            return address
    for number in addresses.free_addresses(pools, 0, _used(tx, subnet["id"])):
        address = str(addresses.from_int(network, number))
        if take(tx, subnet["id"], address, port_id, position):
            _remember(tx, subnet["id"], number + 1)
            return address
    return None


def give_back(call: Call, port_id: str, given: Sequence[Mapping[str, str]]) -> None:
    """Take addresses away from a port."""
    for fixed in given:
        statement = delete(fixed_ip).where(
            fixed_ip.c.subnet_id == fixed["subnet_id"],
            fixed_ip.c.ip_address == fixed["ip_address"],
            fixed_ip.c.port_id == port_id,
        )
        call.tx.execute(statement)


def of_ports(tx: Tx, port_ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Return the fixed IPs of these ports, in their order; at most as many as fit one statement."""
    found: dict[str, list[dict[str, str]]] = {port_id: [] for port_id in port_ids}
    statement = _of_one() if len(port_ids) == 1 else _of_many()
    parameter = port_ids[0] if len(port_ids) == 1 else port_ids
    rows = tx.execute(statement, {"ports": parameter}).all()
    for row in sorted(rows, key=lambda row: int(row.position)):
        found[row.port_id].append({"subnet_id": row.subnet_id, "ip_address": row.ip_address})
    return found


def reorder(tx: Tx, port_id: str, given: Sequence[Mapping[str, str]]) -> None:
    """Put a port's addresses in this order."""
    statement = (
        update(fixed_ip)
        .where(
            fixed_ip.c.port_id == port_id,
            fixed_ip.c.subnet_id == bindparam("home"),
            fixed_ip.c.ip_address == bindparam("address"),
        )
        .values(position=bindparam("place"))
    )
    for place, fixed in enumerate(given):
        tx.execute(
            statement,
            {"home": fixed["subnet_id"], "address": fixed["ip_address"], "place": place},
        )


def _next(tx: Tx, subnet_id: str, pools: Sequence[Range]) -> int | None:
    """Return the address to try next and step on: no two threads get the same."""
    with tx.memory.lock:
        if subnet_id not in tx.memory.next:
            return None
        number = addresses.following(pools, tx.memory.next[subnet_id])
        if number is not None:
            tx.memory.next[subnet_id] = number + 1
        return number


def _remember(tx: Tx, subnet_id: str, number: int) -> None:
    with tx.memory.lock:
        tx.memory.next[subnet_id] = number


def _used(tx: Tx, subnet_id: str) -> set[int]:
    rows = tx.execute(select(fixed_ip.c.ip_address).where(fixed_ip.c.subnet_id == subnet_id)).all()
    return {int(addresses.parse_address(row.ip_address)) for row in rows}


@cache
def _insert(dialect: str) -> Any:
    kind = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = kind(fixed_ip).on_conflict_do_nothing(index_elements=["subnet_id", "ip_address"])
    # Without the option the count of an INSERT is unknown (-1) with psycopg.
    return statement.execution_options(preserve_rowcount=True)


@cache
def _of_one() -> Any:
    return _columns().where(fixed_ip.c.port_id == bindparam("ports"))


@cache
def _of_many() -> Any:
    return _columns().where(fixed_ip.c.port_id.in_(bindparam("ports", expanding=True)))


def _columns() -> Any:
    return select(fixed_ip.c.port_id, fixed_ip.c.subnet_id, fixed_ip.c.ip_address, fixed_ip.c.position)
