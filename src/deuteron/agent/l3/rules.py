"""What nftables does inside a router: address translation, and silence where a reset would end a session.

Ports are kept by translation where they are free, so that twins translate alike. A router that has just taken
over gets packets of connections that it does not know yet: it never answers them with a reset or an error.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from deuteron.agent import names
from deuteron.agent.l3 import forwardings, gateways, scopes
from deuteron.agent.l3.gateways import Outside
from deuteron.agent.l3.scopes import Inside
from deuteron.plan.units import FloatingIP, Router, RouterPort

TABLE = "deuteron"
_NO_GOODBYE = "icmpv6 type nd-router-advert @th,48,16 0 drop"
"""An advertisement with a router lifetime of 0 (RFC 4861, 4.2): a radvd that ends says that its router is
gone, and it is not, another one or a twin goes on."""


def render(router: Router, floating_ips: Iterable[FloatingIP]) -> str:
    """Return what replaces a router's table, in one transaction."""
    floating_ips = sorted(floating_ips, key=lambda f: (f.floating_ip, f.fixed_ip))
    outsides = gateways.of(router, floating_ips)
    translation = _translation(router, floating_ips, outsides)
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain input {{
    type filter hook input priority filter; policy accept;
{_input(outsides)}  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
{_forward(router, outsides)}  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    {_NO_GOODBYE}
  }}
{gateways.marking(outsides)}{translation}}}
"""


def quiet(interfaces: Iterable[RouterPort]) -> str:
    """Return what replaces the table of a part that translates nothing."""
    lines = scopes.apart([(names.internal_device(port.id), port) for port in interfaces])
    forward = f"""\
  chain forward {{
    type filter hook forward priority filter; policy accept;
{"".join(f"    {line}{chr(10)}" for line in lines)}  }}
"""
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
{forward if lines else ""}\
  chain output {{
    type filter hook output priority filter; policy accept;
    {_NO_GOODBYE}
  }}
}}
"""


def _forward(router: Router, outsides: Sequence[Outside]) -> str:
    """Return what keeps packets in that ought to be translated and are not, or cannot be.

    Between networks, and where nothing is translated, the two directions may take different ways: packets of
    which only one direction comes by here are no worse for it.
    """
    lines = scopes.crossing(_inside(router), outsides, router.snat)
    if outsides and (router.snat or any(one.floating_ips for one in outsides)):
        lines.append(f"oifname {gateways.devices(outsides)} meta nfproto ipv4 ct state invalid drop")
    return "".join(f"    {line}\n" for line in lines)


def _inside(router: Router) -> list[Inside]:
    found = [(names.internal_device(port.id), port) for port in router.interfaces]
    return [*found, *((names.snat_device(port.id), port) for port in router.snat_ports)]


def _input(outsides: Sequence[Outside]) -> str:
    if not outsides:
        return ""
    devices = gateways.devices(outsides)
    lines = [
        f"iifname {devices} meta l4proto {{ icmp, ipv6-icmp }} accept",
        f"iifname {devices} drop",
    ]
    for version, word in ((4, "ip"), (6, "ip6")):
        found = [str(a) for one in outsides for a in one.addresses if a.version == version]
        if found:
            lines.append(f"{word} daddr {{ {', '.join(found)} }} meta l4proto {{ tcp, udp }} drop")
    return "".join(f"    {line}\n" for line in lines)


def _translation(router: Router, floating_ips: Sequence[FloatingIP], outsides: Sequence[Outside]) -> str:
    usable = [one for one in outsides if one.address]
    if not usable:
        return ""
    devices = gateways.devices(outsides)
    forwarded = forwardings.maps(floating_ips)
    to_fixed = {f.floating_ip: f.fixed_ip for f in floating_ips if f.fixed_ip}
    to_floating = "".join(
        f"""\
  map {_floating(one)} {{
    type ipv4_addr : ipv4_addr
{_elements(_to_floating(one))}  }}
"""
        for one in usable
    )
    hairpin = "".join(f"    snat ip to ip saddr map @{_floating(one)}\n" for one in usable)
    return f"""\
  map floating_to_fixed {{
    type ipv4_addr : ipv4_addr
{_elements(to_fixed)}  }}
{to_floating}{forwarded}  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
{forwardings.IN if forwarded else ""}\
    dnat ip to ip daddr map @floating_to_fixed
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    iifname != {devices} oifname != {devices} ct status dnat goto hairpin
    oifname != {devices} return
{forwardings.OUT if forwarded else ""}\
{"".join(_leaving(one, router, alone=len(outsides) == 1) for one in usable)}  }}
  chain hairpin {{
{hairpin}    meta nfproto ipv4 snat ip to {usable[0].address}
  }}
"""


def _leaving(one: Outside, router: Router, alone: bool) -> str:
    """Return what becomes of the source of what leaves by a gateway."""
    by = "" if alone else f'oifname "{one.device}" '
    lines = [f"snat ip to ip saddr map @{_floating(one)}"]
    if router.snat:
        staying = scopes.staying(_inside(router), one)
        lines += [f"iifname {staying} return"] if staying else []
        lines.append(f"meta nfproto ipv4 snat ip to {one.address}")
    return "".join(f"    {by}{line}\n" for line in lines)


def _floating(one: Outside) -> str:
    return "fixed_to_floating" if one.number == 1 else f"fixed_to_floating_{one.number}"


def _to_floating(one: Outside) -> dict[str, str]:
    found: dict[str, str] = {}
    for floating_ip in one.floating_ips:
        if floating_ip.fixed_ip:
            found.setdefault(floating_ip.fixed_ip, floating_ip.floating_ip)
    return found


def _elements(mapping: dict[str, str]) -> str:
    pairs = (
        f"{ipaddress.IPv4Address(key)} : {ipaddress.IPv4Address(value)}"
        for key, value in sorted(mapping.items())
    )
    text = ", ".join(pairs)
    return f"    elements = {{ {text} }}\n" if text else ""
