"""Types of attributes that hold addresses. Canonical: compressed, lower case."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import String

from deuteron.resources.addresses import parse_address, parse_network
from deuteron.resources.attribute import UNSET, Type
from deuteron.resources.types import UUID, empty_if_null, integer, is_uuid, known_keys, list_of, shown

_FAMILY = integer(4, 6)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _address(value: Any) -> str:
    return str(parse_address(value))


def _cidr(value: Any) -> str:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError(f"'{shown(value)}' is not a valid IP subnet")
    return str(parse_network(value))


def _ip_version(value: Any) -> int:
    version = _FAMILY.convert(value)
    if version == 5:
        raise ValueError("5 is not in [4, 6]")
    result: int = version
    return result


def _mac(value: Any) -> str:
    text = value.replace("-", ":").lower() if isinstance(value, str) else ""
    if not _MAC.fullmatch(text) or int(text[1], 16) & 1 or text == "00:00:00:00:00:00":
        raise ValueError(f"'{shown(value)}' is not a valid MAC address")
    return text


def _lenient(convert: Any) -> Any:
    def from_query(text: str) -> str:
        try:
            result: str = convert(text)
        except ValueError:
            return text
        return result

    return from_query


def _fixed_ip(value: Any) -> dict[str, str]:
    given = known_keys(value, (), ("ip_address", "subnet_id"))
    fixed = {}
    if given.get("subnet_id") is not None:
        if not is_uuid(given["subnet_id"]):
            raise ValueError(f"'{shown(given['subnet_id'])}' is not a valid UUID")
        fixed["subnet_id"] = given["subnet_id"]
    if given.get("ip_address") is not None:
        fixed["ip_address"] = _address(given["ip_address"])
    if not fixed:
        raise ValueError("IP allocation requires subnet_id or ip_address")
    return fixed


def _fixed_ips(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise ValueError(f"Invalid data format for fixed IP: '{shown(value)}'")
    fixed = [_fixed_ip(one) for one in value]
    addresses = [one["ip_address"] for one in fixed if "ip_address" in one]
    for address in addresses:
        if addresses.count(address) > 1:
            raise ValueError(f"Duplicate IP address '{address}'")
    return fixed


def _pool(value: Any) -> dict[str, str]:
    given = known_keys(value, ("start", "end"))
    return {"start": _address(given["start"]), "end": _address(given["end"])}


def _nameserver(value: Any) -> str:
    try:
        return _address(value)
    except ValueError as error:
        raise ValueError(f"'{shown(value)}' is not a valid nameserver. {error}") from None


def _route(value: Any) -> dict[str, str]:
    given = known_keys(value, ("destination", "nexthop"))
    destination = given["destination"]
    if not isinstance(destination, str) or "/" not in destination or "%" in destination:
        raise ValueError(f"'{shown(destination)}' is not a valid CIDR")
    try:
        destination = str(ipaddress.ip_network(destination, strict=True))
    except ValueError:
        raise ValueError(f"'{shown(destination)}' is not a routable CIDR") from None
    return {"destination": destination, "nexthop": _address(given["nexthop"])}


def _address_pair(value: Any) -> dict[str, str]:
    given = known_keys(value, ("ip_address",), ("mac_address",))
    address = given["ip_address"]
    if isinstance(address, str) and "/" in address:
        pair = {"ip_address": _cidr(address)}
    else:
        pair = {"ip_address": _address(address)}
    if ipaddress.ip_network(pair["ip_address"]).is_multicast:
        raise ValueError(f"'{shown(address)}' is a multicast address: nobody sends from one")
    if given.get("mac_address") is not None:
        pair["mac_address"] = _mac(given["mac_address"])
    return pair


_IP = {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}
_PREFIX = {"type": "string", "description": "An address, a slash, the length of the prefix"}
_MAC_TEXT = {"type": "string", "pattern": "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$"}


def _keys(required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    """Return the JSON Schema of a dictionary with these keys and no others."""
    described = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**described, "required": list(required)} if required else described


_FIXED_IP = _keys(subnet_id=UUID.schema, ip_address=_IP)

IP = Type(_address, String(45), _lenient(_address), _IP)
IP_VERSION = Type(_ip_version, _FAMILY.column, _FAMILY.from_query, {"enum": [4, 6]})
CIDR = Type(_cidr, String(49), _lenient(_cidr), _PREFIX)
MAC = Type(_mac, String(17), _lenient(_mac), _MAC_TEXT)
MAC_OR_ANY = empty_if_null(MAC, UNSET)
"""Null asks for one that is made."""
FIXED_IPS = Type(_fixed_ips, None, schema={"type": "array", "items": {**_FIXED_IP, "minProperties": 1}})
POOLS = list_of(_pool, what="pool", schema=_keys(("start", "end"), start=_IP, end=_IP))
NAMESERVERS = list_of(_nameserver, what="nameserver", schema=_IP)
ROUTES = list_of(
    _route, what="hostroute", schema=_keys(("destination", "nexthop"), destination=_PREFIX, nexthop=_IP)
)
ADDRESS_PAIRS = list_of(
    _address_pair,
    what="address pair",
    schema=_keys(("ip_address",), ip_address={"anyOf": [_IP, _PREFIX]}, mac_address=_MAC_TEXT),
)
