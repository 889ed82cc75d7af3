"""What a rule of a security group may say: types, checks, and when two rules are the same."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from sqlalchemy import String

from deuteron.resources.attribute import UNSET, Attr, Type
from deuteron.resources.resource import Item
from deuteron.resources.security_group_errors import (
    InvalidCIDR,
    SecurityGroupEthertypeConflictWithProtocol,
    SecurityGroupInvalidIcmpValue,
    SecurityGroupInvalidPortRange,
    SecurityGroupInvalidPortValue,
    SecurityGroupInvalidProtocolForPort,
    SecurityGroupMissingIcmpType,
    SecurityGroupMultipleRemoteEntites,
    SecurityGroupProtocolRequiredWithPorts,
    SecurityGroupRuleInvalidEtherType,
    SecurityGroupRuleInvalidProtocol,
    SecurityGroupRuleParameterConflict,
)
from deuteron.resources.types import DERIVED, integer, line, one_of, shown

ETHERTYPES = ("IPv4", "IPv6")
PROTOCOLS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "hopopt": 0,
    "icmp": 1,
    "igmp": 2,
    "ip": 0,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
"""Names of protocols and their numbers."""
ICMP, ICMPV6 = 1, 58
_WITH_PORTS = {33: "DCCP", 132: "SCTP", 6: "TCP", 17: "UDP", 136: "UDPLITE"}
_IPV6_ONLY = frozenset({41, 43, 44, 58, 59, 60})
_EVERYWHERE = ("0.0.0.0/0", "::/0", None)


def _protocol(value: Any) -> str | None:
    if value is None or value in ("", "any"):
        return None
    text = str(value).lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text in PROTOCOLS or (text.isascii() and text.isdigit() and len(text) < 4 and int(text) < 256):
        return text if text in PROTOCOLS else str(int(text))
    raise SecurityGroupRuleInvalidProtocol(protocol=shown(value), values=[None, "any", *sorted(PROTOCOLS)])


def _ethertype(value: Any) -> str:
    for known in ETHERTYPES:
        if isinstance(value, str) and value.lower() == known.lower():
            return known
    raise SecurityGroupRuleInvalidEtherType(ethertype=shown(value), values=list(ETHERTYPES))


def _port(value: Any) -> int | None:
    if value is None:
        return None
    try:
        number: int = _PORT.convert(value)
    except ValueError:
        raise SecurityGroupInvalidPortValue(port=shown(value)) from None
    return number


def _prefix(value: Any) -> str | None:
    """A prefix as it was given, with its length: bits of the host stay."""
    if value is None or value == "":
        return None
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError
        return str(ipaddress.ip_interface(value))
    except ValueError:
        raise InvalidCIDR(input=shown(value)) from None


_PORT = integer(0, 65535)
PROTOCOL = Type(_protocol, String(40))
ETHERTYPE = Type(_ethertype, String(40), lambda text: text)
PORT = Type(_port, _PORT.column, _PORT.from_query)
PREFIX = Type(_prefix, String(49))

ATTRIBUTES: Mapping[str, Attr] = {
    "direction": Attr(type=one_of("ingress", "egress"), post=True),
    "ethertype": Attr(type=ETHERTYPE, default="IPv4", post=True),
    "protocol": Attr(type=PROTOCOL, default=None, post=True, nullable=True),
    "port_range_min": Attr(type=PORT, default=None, post=True, nullable=True),
    "port_range_max": Attr(type=PORT, default=None, post=True, nullable=True),
    "remote_ip_prefix": Attr(type=PREFIX, default=None, post=True, nullable=True),
}
"""What all rules have."""
NAMELESS = Attr(type=line(), default="", stored=False, visible=False, filter=False, sort=False)
NORMALIZED = Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)


def number(protocol: str | None) -> int | None:
    """Return the number of a protocol; None for any."""
    if protocol is None or protocol == "ip":
        return None
    return PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)


def checked(rule: Mapping[str, Any]) -> Item:
    """Return a rule as it is stored. Raises the error that says what contradicts itself."""
    result = dict(rule)
    if result["ethertype"] == "IPv6":
        if result["protocol"] in ("icmp", "icmpv6"):
            result["protocol"] = "ipv6-icmp"
        elif result["protocol"] == str(ICMP):
            result["protocol"] = str(ICMPV6)
    if (result["port_range_min"], result["port_range_max"]) == (1, 65535):
        result["port_range_min"] = result["port_range_max"] = None
    _check_ports(result)
    _check_family(result)
    remotes = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")
    if sum(bool(result[name]) for name in remotes) > 1:
        raise SecurityGroupMultipleRemoteEntites
    return result


def _check_ports(rule: Item) -> None:
    low, high = rule["port_range_min"], rule["port_range_max"]
    if low is None and high is None:
        return
    if rule["protocol"] is None:
        raise SecurityGroupProtocolRequiredWithPorts
    protocol = number(rule["protocol"])
    if protocol in _WITH_PORTS:
        if 0 in (low, high):
            raise SecurityGroupInvalidPortValue(port=0)
        if low is None or high is None or low > high:
            raise SecurityGroupInvalidPortRange
    elif protocol in (ICMP, ICMPV6):
        for attr, field in (("port_range_min", "type"), ("port_range_max", "code")):
            if rule[attr] is not None and rule[attr] > 255:
                raise SecurityGroupInvalidIcmpValue(field=field, attr=attr, value=rule[attr])
        if low is None:
            raise SecurityGroupMissingIcmpType(value=high)
    else:
        raise SecurityGroupInvalidProtocolForPort(
            protocol=protocol, valid_port_protocols=", ".join(_WITH_PORTS.values())
        )


def _check_family(rule: Item) -> None:
    prefix, ethertype = rule["remote_ip_prefix"], rule["ethertype"]
    if prefix and (":" in prefix) != (ethertype == "IPv6"):
        raise SecurityGroupRuleParameterConflict(ethertype=ethertype, cidr=prefix)
    if ethertype == "IPv4" and number(rule["protocol"]) in _IPV6_ONLY:
        raise SecurityGroupEthertypeConflictWithProtocol(ethertype=ethertype, protocol=rule["protocol"])


def normalized(prefix: str | None) -> str | None:
    """Return a prefix without the bits of the host."""
    return str(ipaddress.ip_interface(prefix).network) if prefix else None


def meaning(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what two rules of one group have in common when they are the same rule."""
    prefix = rule["remote_ip_prefix"]
    return (
        rule["direction"],
        rule["ethertype"],
        rule["protocol"] and str(PROTOCOLS.get(rule["protocol"], rule["protocol"])),
        rule["port_range_min"],
        rule["port_range_max"],
        None if prefix in _EVERYWHERE else prefix,
        rule["remote_group_id"],
        rule["remote_address_group_id"],
    )


def order(rule: Mapping[str, Any]) -> tuple[str, ...]:
    """Sort key: rules of a group, by what they say."""
    return tuple(str(part or "") for part in meaning(rule))
