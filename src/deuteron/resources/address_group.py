"""Address groups: lists of prefixes that rules of security groups can name."""

from collections.abc import Mapping, Sequence
from typing import Any

from deuteron.resources import rows
from deuteron.resources.address_types import CIDR
from deuteron.resources.addresses import parse_network
from deuteron.resources.attribute import Attr, Type
from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.security_group_errors import (
    AddressesAlreadyExist,
    AddressesNotFound,
    AddressGroupNotFound,
)
from deuteron.resources.types import list_of, shown


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError(f"'{shown(value)}' is not a valid IP subnet: its prefix has no length")
    prefix: str = CIDR.convert(value)
    return prefix


def _whole(value: Any) -> Any:
    """Give an address alone as the prefix that it is, which those that come and go may be as in Neutron."""
    alone = isinstance(value, str) and "/" not in value
    return f"{value}/{parse_network(value).prefixlen}" if alone else value


def _prefixes(value: Any) -> list[str]:
    return sorted(set(_LIST.convert(value)))


_LIST = list_of(_prefix, unique=False)
ADDRESSES = Type(_prefixes, _LIST.column)


def add_addresses(call: Call, id_: str, body: Any) -> Item:
    """Add prefixes to a group, none of which it may have."""
    row, given = rows.get(call, resource, id_, lock=True), _given(body)
    present = set(row["addresses"])
    if known := sorted(present & set(given)):
        raise AddressesAlreadyExist(addresses=known, id=id_)
    return _changed(call, row, sorted({*present, *given}))


def remove_addresses(call: Call, id_: str, body: Any) -> Item:
    """Remove prefixes from a group, all of which it must have."""
    row, given = rows.get(call, resource, id_, lock=True), _given(body)
    present = set(row["addresses"])
    if unknown := sorted(set(given) - present):
        raise AddressesNotFound(addresses=unknown, id=id_)
    return _changed(call, row, sorted(present - set(given)))


def _given(body: Any) -> Sequence[str]:
    inner = body.get("address_group", body) if isinstance(body, Mapping) else None
    if not isinstance(inner, Mapping) or set(inner) != {"addresses"}:
        raise HTTPBadRequest(msg=f"Expected a dictionary of addresses, not '{shown(body)}'")
    try:
        given = inner["addresses"]
        return _prefixes([_whole(one) for one in given] if isinstance(given, list) else given)
    except ValueError as error:
        raise HTTPBadRequest(msg=f"Invalid input for addresses. Reason: {error}.") from None


def _changed(call: Call, row: Item, addresses: list[str]) -> Item:
    changed = rows.change(call, resource, row, {"addresses": addresses})
    return {resource.name: {**changed, "tenant_id": changed["project_id"]}}


resource = Resource(
    name="address_group",
    collection="address_groups",
    path="address-groups",
    not_found=AddressGroupNotFound,
    attributes={
        "addresses": Attr(type=ADDRESSES, default=[], post=True, filter=False, sort=False),
    },
    actions={"add_addresses": add_addresses, "remove_addresses": remove_addresses},
)

DECLARES = (
    resource,
    Alias(alias="address-group", name="Address group", description="Lists of prefixes that rules can name"),
)
