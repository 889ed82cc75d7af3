"""DHCP options of one port as dnsmasq reads them. Pure; what cannot be read in one way only is refused.

Options are named as dnsmasq names them, or by number; `tag:ipxe,NAME` and `tag:!ipxe,NAME` mean clients that
are iPXE, or are not. Options that the protocol or the server itself speaks with are not to be set.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

from deuteron.agent.dhcp.texts import NAME, Unfit, checked

Writer = Callable[[str], str]
"""A value as dnsmasq has it. Raises ValueError."""

ROUTER = 3
ROUTES = 121
MICROSOFT_ROUTES = 249
_LENGTH = 255
_NAMED = re.compile(r"(?P<tags>(tag:!?[A-Za-z0-9_-]{1,64},){0,4})(?P<name>[A-Za-z0-9+-]{1,64})")
_HEX = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})+")
_SECONDS = re.compile(r"[0-9]{1,9}[smhdw]?|infinite")
_PRINTABLE = re.compile(r"[ -~]+")


def option(tag: str, version: int, name: str, value: str) -> tuple[str, int]:
    """Return the line that gives an option to the clients of a tag, and the option's number. Raises Unfit.

    An empty value keeps the router, or the routes, from being told; other options need one.
    """
    what = f"DHCP option {name[:64]!r}"
    found = _NAMED.fullmatch(name)
    if found is None:
        raise Unfit(f"{what} is not a name or number of dnsmasq's")
    number = _number_of(found["name"].lower(), version, what)
    writers, free = (_WRITERS6, _free6) if version == 6 else (_WRITERS4, _free4)
    head = f"tag:{tag},{found['tags']}{'option6:' if version == 6 else ''}{number}"
    if not value and version == 4 and number in (ROUTER, ROUTES, MICROSOFT_ROUTES):
        return head, number
    try:
        if not 0 < len(value) <= _LENGTH:
            raise ValueError("it needs a value of 1 to 255 characters")
        return f"{head},{writers.get(number, free)(value)}", number
    except ValueError as error:
        raise Unfit(f"{what}: {value[:80]!r}: {error}") from None


def _number_of(name: str, version: int, what: str) -> int:
    numbers, reserved, last = (_NUMBERS6, _RESERVED6, 65535) if version == 6 else (_NUMBERS4, _RESERVED4, 255)
    number = int(name) if name.isdecimal() else numbers.get(name)
    if number is None or number > last:
        raise Unfit(f"{what} does not exist for IPv{version}")
    if number in reserved:
        raise Unfit(f"{what} is the DHCP server's own: it cannot be set")
    return number


def _text(value: str) -> str:
    """In quotes everything is a text to dnsmasq, whatever it looks like."""
    if not _PRINTABLE.fullmatch(value):
        raise ValueError("it has characters that do not belong there")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _texts(value: str) -> str:
    return ",".join(_text(part) for part in value.split(","))


def _addresses4(value: str) -> str:
    return ",".join(str(ipaddress.IPv4Address(part.strip())) for part in value.split(","))


def _addresses6(value: str) -> str:
    parts = (part.strip().removeprefix("[").removesuffix("]") for part in value.split(","))
    found = [ipaddress.IPv6Address(part) for part in parts]
    if any(address.scope_id for address in found):
        raise ValueError("an address has no zone here")
    return ",".join(f"[{address}]" for address in found)


def _routes(value: str) -> str:
    """Pairs of destination and next hop."""
    parts = [part.strip() for part in value.split(",")]
    if len(parts) % 2:
        raise ValueError("it takes pairs of destination and next hop")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return ",".join(f"{ipaddress.IPv4Network(to)},{ipaddress.IPv4Address(hop)}" for to, hop in pairs)


def _names(value: str) -> str:
    parts = [part.strip() for part in value.split(",")]
    if sum(len(part) + 2 for part in parts) > _LENGTH:
        raise ValueError("together these are too long")
    if any(len(label) > 63 for part in parts for label in part.split(".")):
        raise ValueError("a label is longer than 63 characters")
    try:
        return ",".join(checked(NAME, part, "the name") for part in parts)
    except Unfit as error:
        raise ValueError(str(error)) from None


def _seconds(value: str) -> str:
    if not _SECONDS.fullmatch(value):
        raise ValueError("it takes a number of seconds")
    return value


def _whole(size: int, *, signed: bool = False) -> Writer:
    low, high = (-(2 ** (8 * size - 1)), 2 ** (8 * size - 1)) if signed else (0, 2 ** (8 * size))

    def write(value: str) -> str:
        if not re.fullmatch(r"-?[0-9]{1,10}", value) or not low <= int(value) < high:
            raise ValueError(f"it takes a whole number from {low} to {high - 1}")
        return str(int(value))

    return write


def _free4(value: str) -> str:
    """What has no known form: addresses, bytes and numbers as they look, anything else as a text."""
    return _first_fit(value, _addresses4, _routes, _plain, _text)


def _free6(value: str) -> str:
    return _first_fit(value, _addresses6, _plain, _text)


def _plain(value: str) -> str:
    if _HEX.fullmatch(value) or re.fullmatch(r"[0-9]{1,9}[bsi]?", value):
        return value
    raise ValueError("not bytes, and no number")


def _first_fit(value: str, *writers: Writer) -> str:
    for write in writers[:-1]:
        try:
            return write(value)
        except ValueError:
            continue
    return writers[-1](value)


_OPTIONS4: Mapping[str, tuple[int, Writer]] = {
    "netmask": (1, _addresses4),
    "time-offset": (2, _whole(4, signed=True)),
    "router": (ROUTER, _addresses4),
    "dns-server": (6, _addresses4),
    "log-server": (7, _addresses4),
    "lpr-server": (9, _addresses4),
    "hostname": (12, _text),
    "boot-file-size": (13, _whole(2)),
    "domain-name": (15, _text),
    "swap-server": (16, _addresses4),
    "root-path": (17, _text),
    "extension-path": (18, _text),
    "ip-forward-enable": (19, _whole(1)),
    "non-local-source-routing": (20, _whole(1)),
    "policy-filter": (21, _addresses4),
    "max-datagram-reassembly": (22, _whole(2)),
    "default-ttl": (23, _whole(1)),
    "mtu": (26, _whole(2)),
    "all-subnets-local": (27, _whole(1)),
    "broadcast": (28, _addresses4),
    "router-discovery": (31, _whole(1)),
    "router-solicitation": (32, _addresses4),
    "static-route": (33, _addresses4),
    "trailer-encapsulation": (34, _whole(1)),
    "arp-timeout": (35, _whole(4)),
    "ethernet-encap": (36, _whole(1)),
    "tcp-ttl": (37, _whole(1)),
    "tcp-keepalive": (38, _whole(4)),
    "nis-domain": (40, _text),
    "nis-server": (41, _addresses4),
    "ntp-server": (42, _addresses4),
    "vendor-encap": (43, _free4),
    "netbios-ns": (44, _addresses4),
    "netbios-dd": (45, _addresses4),
    "netbios-nodetype": (46, _whole(1)),
    "netbios-scope": (47, _free4),
    "x-windows-fs": (48, _addresses4),
    "x-windows-dm": (49, _addresses4),
    "t1": (58, _seconds),
    "t2": (59, _seconds),
    "vendor-class": (60, _free4),
    "nis+-domain": (64, _text),
    "nis+-server": (65, _addresses4),
    "tftp-server": (66, _text),
    "bootfile-name": (67, _text),
    "mobile-ip-home": (68, _addresses4),
    "smtp-server": (69, _addresses4),
    "pop3-server": (70, _addresses4),
    "nntp-server": (71, _addresses4),
    "irc-server": (74, _addresses4),
    "user-class": (77, _free4),
    "rapid-commit": (80, _free4),
    "client-arch": (93, _whole(2)),
    "client-interface-id": (94, _free4),
    "client-machine-id": (97, _free4),
    "posix-timezone": (100, _text),
    "tzdb-timezone": (101, _text),
    "ipv6-only": (108, _whole(4)),
    "domain-search": (119, _names),
    "sip-server": (120, _free4),
    "classless-static-route": (ROUTES, _routes),
    "vendor-id-encap": (125, _free4),
    "tftp-server-address": (150, _addresses4),
    "microsoft-classless-static-route": (MICROSOFT_ROUTES, _routes),
    "server-ip-address": (255, _addresses4),
}
_OPTIONS6: Mapping[str, tuple[int, Writer]] = {
    "sip-server-domain": (21, _names),
    "sip-server": (22, _addresses6),
    "dns-server": (23, _addresses6),
    "domain-search": (24, _names),
    "nis-server": (27, _addresses6),
    "nis+-server": (28, _addresses6),
    "nis-domain": (29, _names),
    "nis+-domain": (30, _names),
    "sntp-server": (31, _addresses6),
    "information-refresh-time": (32, _seconds),
    "posix-timezone": (41, _text),
    "tzdb-timezone": (42, _text),
    "ntp-server": (56, lambda value: _first_fit(value, _addresses6, _names)),
    "bootfile-url": (59, _text),
    "bootfile-param": (60, _texts),
}
_NUMBERS4 = {name: number for name, (number, _) in _OPTIONS4.items()}
_NUMBERS6 = {name: number for name, (number, _) in _OPTIONS6.items()}
_WRITERS4 = dict(_OPTIONS4.values())
_WRITERS6 = dict(_OPTIONS6.values())
_RESERVED4 = frozenset({0, *range(50, 58), 61, 81, 82, 91, 92, 118})
_RESERVED6 = frozenset({*range(20), 25, 26, 39})
