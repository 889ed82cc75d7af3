"""Subnet pools: prefixes from which subnets are given their ranges.

Whoever takes from a pool, gives back to it or changes it holds the lock of its row, so that no two subnets
get one address.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, text

from deuteron.resources import access, address_scope, prefixes, rows
from deuteron.resources.address_types import CIDR
from deuteron.resources.addresses import Network, parse_network
from deuteron.resources.attribute import UNSET, Attr, Type
from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest, InvalidInput
from deuteron.resources.resource import Alias, Item, Resource, index
from deuteron.resources.subnetpool_errors import (
    AddressScopePrefixConflict,
    EmptySubnetPoolPrefixList,
    IllegalSubnetPoolAssociationToAddressScope,
    IllegalSubnetPoolIpVersionAssociationToAddressScope,
    IllegalSubnetPoolPrefixBounds,
    IllegalSubnetPoolPrefixUpdate,
    IllegalSubnetPoolUpdate,
    NetworkAddressScopeAffinityError,
    PrefixVersionMismatch,
    SubnetPoolDeleteError,
    SubnetPoolNotFound,
)
from deuteron.resources.types import BOOLEAN, UUID, integer, line, list_of, shown
from deuteron.store import metadata

BITS: Mapping[int, int] = {4: 32, 6: 128}
_LEAST: Mapping[int, int] = {4: 8, 6: 64}
_LENGTHS = ("min_prefixlen", "max_prefixlen", "default_prefixlen")


def create(call: Call, values: Item) -> Item:
    """Create a pool."""
    if values["default_quota"] is UNSET:
        values["default_quota"] = None
    values.update(_checked({**values, "prefixes": _compact(values["prefixes"])}))
    _check_scope(call, "", values)
    if values["is_default"]:
        _refuse_second_default(call, values["ip_version"])
    row = rows.insert(call, resource, values)
    if row is None:
        raise _second_default()
    return row


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a pool. Its prefixes can only become more."""
    if "prefixes" in changes:
        changes["prefixes"] = _extended(row["prefixes"], changes["prefixes"])
    new = {**row, **changes}
    changes = {**changes, **_checked(new)}
    if changes.get("is_default") and not row["is_default"]:
        _refuse_second_default(call, row["ip_version"])
    if row["address_scope_id"] and not _owns_scope(call, row):
        raise IllegalSubnetPoolUpdate(
            reason=f"subnetpool {row['id']} cannot be updated when associated with shared address scope "
            f"{row['address_scope_id']}"
        )
    _check_scope(call, row["id"], new)
    if new["address_scope_id"] != row["address_scope_id"]:
        _tell_routers(call, row["id"])
    return rows.change(call, resource, row, changes)


def _tell_routers(call: Call, id_: str) -> None:
    """Have routers look at the subnets of a pool again: they keep address scopes apart."""
    subnets = metadata.tables["subnet"]  # its module imports this one
    for subnet_id in call.tx.execute(select(subnets.c.id).where(subnets.c.subnetpool_id == id_)).scalars():
        call.tx.changed("subnet", subnet_id, "update")


def delete(call: Call, row: Item) -> None:
    """Delete a pool that no subnet is from."""
    if taken(call, row["id"]):
        raise SubnetPoolDeleteError(reason="Subnet pool has existing allocations")
    rows.remove(call, resource, row["id"])


def taken(call: Call, id_: str) -> list[Network]:
    """Return the ranges of the subnets that are from a pool."""
    subnets = metadata.tables["subnet"]  # its module imports this one
    used = select(subnets.c.cidr).where(subnets.c.subnetpool_id == id_)
    return [parse_network(cidr) for cidr in call.tx.execute(used).scalars()]


def add_prefixes(call: Call, id_: str, body: Any) -> Item:
    """Add prefixes to a pool."""
    given, row = _given(body), rows.get(call, resource, id_, lock=True)
    if given:
        row = update(call, row, {"prefixes": [*row["prefixes"], *given]})
    return {"prefixes": row["prefixes"]}


def remove_prefixes(call: Call, id_: str, body: Any) -> Item:
    """Take prefixes, of which no subnet has an address, from a pool; those that it has not are ignored."""
    given, row = _given(body), rows.get(call, resource, id_, lock=True)
    version = row["ip_version"]
    gone = prefixes.ranges(one for one in map(parse_network, given) if one.version == version)
    whole = prefixes.ranges(map(parse_network, row["prefixes"]))
    if not prefixes.common(whole, gone):
        return {"prefixes": row["prefixes"]}
    if prefixes.common(gone, prefixes.ranges(taken(call, id_))):
        raise IllegalSubnetPoolPrefixUpdate(
            msg="One or more the prefixes to be removed is in use by a subnet"
        )
    left = [str(one) for one in prefixes.networks(version, prefixes.without(whole, gone))]
    if not left:
        raise EmptySubnetPoolPrefixList
    return {"prefixes": rows.change(call, resource, row, {"prefixes": left})["prefixes"]}


def of_default(call: Call, version: int) -> Item | None:
    """Return the pool of a family that is used where none is named, if the caller sees it."""
    table = resource.table
    found = rows.where(call, resource, table.c.is_default.is_(True), table.c.ip_version == version)
    return next((one for one in found if access.sees(call, resource, one)), None)


def _given(body: Any) -> list[str]:
    if not isinstance(body, Mapping) or set(body) != {"prefixes"}:
        raise HTTPBadRequest(msg=f"Expected a dictionary of prefixes, not '{shown(body)}'")
    try:
        found: list[str] = _PREFIXES.convert(body["prefixes"])
    except ValueError as error:
        raise HTTPBadRequest(msg=f"Invalid input for prefixes. Reason: {error}.") from None
    return found


def _compact(given: Sequence[str]) -> list[str]:
    networks = [parse_network(one) for one in given]
    if not networks:
        raise EmptySubnetPoolPrefixList
    if len({one.version for one in networks}) > 1:
        raise PrefixVersionMismatch
    return [str(one) for one in prefixes.compact(networks)]


def _extended(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    if parse_network(present[0]).version not in {parse_network(one).version for one in wanted}:
        raise IllegalSubnetPoolPrefixUpdate(msg="Existing prefixes must be a subset of the new prefixes")
    new = _compact(wanted)
    if prefixes.without(
        prefixes.ranges(map(parse_network, present)), prefixes.ranges(map(parse_network, new))
    ):
        raise IllegalSubnetPoolPrefixUpdate(msg="Existing prefixes must be a subset of the new prefixes")
    return new


def _checked(values: Mapping[str, Any]) -> Item:
    """Return the family and the lengths of a pool: defaults where there are none, in order."""
    version = parse_network(values["prefixes"][0]).version
    least, most, default = (values[name] for name in _LENGTHS)
    least = _LEAST[version] if least is UNSET else least
    most = BITS[version] if most is UNSET else most
    default = least if default is UNSET else default
    bounds = (
        ("min_prefixlen", least, "max_prefixlen", most, least <= most),
        ("max_prefixlen", most, "ip_version_max", BITS[version], most <= BITS[version]),
        ("default_prefixlen", default, "min_prefixlen", least, default >= least),
        ("default_prefixlen", default, "max_prefixlen", most, default <= most),
    )
    for name, length, other, base, fits in bounds:
        if not fits:
            raise IllegalSubnetPoolPrefixBounds(
                prefix_type=name, prefixlen=length, base_prefix_type=other, base_prefixlen=base
            )
    return {
        "ip_version": version,
        "prefixes": values["prefixes"],
        "min_prefixlen": least,
        "max_prefixlen": most,
        "default_prefixlen": default,
    }


def _refuse_second_default(call: Call, version: int) -> None:
    table = resource.table
    if rows.where(call, resource, table.c.is_default.is_(True), table.c.ip_version == version):
        raise _second_default()


def _second_default() -> InvalidInput:
    return InvalidInput(
        error_message="A default subnetpool for this IP family has already been set. Only one default may "
        "exist per IP family"
    )


def _owns_scope(call: Call, row: Item) -> bool:
    scope = rows.get(call, address_scope.resource, row["address_scope_id"])
    return call.admin or (call.who is not None and scope["project_id"] == call.who.project_id)


def _check_scope(call: Call, id_: str, values: Mapping[str, Any]) -> None:
    """Raise unless a pool of these values may be in its scope. The scope's row is locked."""
    scope_id = values["address_scope_id"]
    if scope_id is None:
        return
    scope = rows.get(call, address_scope.resource, scope_id, lock=True)
    if not access.sees(call, address_scope.resource, scope):
        raise IllegalSubnetPoolAssociationToAddressScope(subnetpool_id=id_, address_scope_id=scope_id)
    version = parse_network(values["prefixes"][0]).version
    if scope["ip_version"] != version:
        raise IllegalSubnetPoolIpVersionAssociationToAddressScope(
            subnetpool_id=id_, address_scope_id=scope_id, ip_version=scope["ip_version"]
        )
    _refuse_split_networks(call, id_, version)
    mine = prefixes.ranges(map(parse_network, values["prefixes"]))
    table = resource.table
    for other in rows.where(call, resource, table.c.address_scope_id == scope_id, table.c.id != id_):
        if prefixes.common(mine, prefixes.ranges(map(parse_network, other["prefixes"]))):
            raise AddressScopePrefixConflict


def _refuse_split_networks(call: Call, id_: str, version: int) -> None:
    """Raise if networks with a subnet from this pool have one of the same family that is not."""
    subnets = metadata.tables["subnet"]
    mine = select(subnets.c.network_id).where(subnets.c.subnetpool_id == id_)
    foreign = select(subnets.c.id).where(
        subnets.c.network_id.in_(mine),
        subnets.c.ip_version == version,
        subnets.c.subnetpool_id.is_distinct_from(id_),
    )
    if call.tx.execute(foreign.limit(1)).first() is not None:
        raise NetworkAddressScopeAffinityError


def present(call: Call, items: list[Item]) -> None:  # noqa: ARG001
    """Show lengths as Neutron does: as texts."""
    for item in items:
        item.update({name: str(item[name]) for name in _LENGTHS})


def _name(value: Any) -> str:
    name: str = line().convert(value)
    if not name.strip():
        raise ValueError(f"'{shown(name)}' is not a valid string: it is empty")
    return name


_PREFIXES = list_of(CIDR.convert, what="prefix")
_LENGTH = integer(0, 128)

resource = Resource(
    name="subnetpool",
    collection="subnetpools",
    not_found=SubnetPoolNotFound,
    attributes={
        "name": Attr(type=Type(_name, line().column), post=True, put=True),
        "prefixes": Attr(type=_PREFIXES, post=True, put=True, filter=False, sort=False),
        "ip_version": Attr(type=integer(4, 6), default=UNSET),
        "min_prefixlen": Attr(type=_LENGTH, default=UNSET, post=True, put=True),
        "max_prefixlen": Attr(type=_LENGTH, default=UNSET, post=True, put=True),
        "default_prefixlen": Attr(type=_LENGTH, default=UNSET, post=True, put=True),
        "default_quota": Attr(type=integer(0, 2**31 - 1), default=UNSET, post=True, put=True, nullable=True),
        "is_default": Attr(type=BOOLEAN, default=False, post=True, put=True),
        "address_scope_id": Attr(
            type=UUID,
            default=None,
            post=True,
            put=True,
            nullable=True,
            references="address_scope.id",
            index=True,
        ),
    },
    constraints=[
        index("ip_version", unique=True, where=text("is_default"), name="uq_subnetpool_default"),
    ],
    actions={"add_prefixes": add_prefixes, "remove_prefixes": remove_prefixes},
    create=create,
    update=update,
    delete=delete,
    present=present,
)

DECLARES = (
    resource,
    Alias(alias="subnetpool", name="Subnet pools", description="Prefixes from which subnets are taken"),
    Alias(
        alias="default-subnetpools",
        name="Default subnet pools",
        description="The pool that is used where none is named",
    ),
    Alias(
        alias="subnetpool-prefix-ops",
        name="Subnet pool prefix operations",
        description="Prefixes added to a pool and taken from it",
    ),
)
