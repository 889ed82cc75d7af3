"""What nftables does inside a router: address translation, and silence where a reset would end a session.

Ports are kept by translation where they are free, so that twins translate alike. A router that has just taken
over gets packets of connections that it does not know yet: it never answers them with a reset or an error.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from deuteron.agent import names
from deuteron.agent.l3 import forwardings
from deuteron.plan.units import FloatingIP, Router

TABLE = "deuteron"
_NO_GOODBYE = "icmpv6 type nd-router-advert @th,48,16 0 drop"
"""An advertisement with a router lifetime of 0 (RFC 4861, 4.2): a radvd that ends says that its router is
gone, and it is not, another one or a twin goes on."""


def render(router: Router, floating_ips: Iterable[FloatingIP]) -> str:
    """Return what replaces a router's table, in one transaction."""
    floating_ips = sorted(floating_ips, key=lambda f: (f.floating_ip, f.fixed_ip))
    translation = _translation(router, floating_ips)
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain input {{
    type filter hook input priority filter; policy accept;
{_input(router)}  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
{_forward(router, floating_ips)}  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    {_NO_GOODBYE}
  }}
{translation}}}
"""


def quiet() -> str:
    """Return what replaces the table of a part that translates nothing."""
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain output {{
    type filter hook output priority filter; policy accept;
    {_NO_GOODBYE}
  }}
}}
"""


def _forward(router: Router, floating_ips: Sequence[FloatingIP]) -> str:
    """Return what keeps packets in that ought to be translated and cannot be.

    Between networks, and where nothing is translated, the two directions may take different ways: packets of
    which only one direction comes by here are no worse for it.
    """
    if not router.gateway or not (router.snat or floating_ips):
        return ""
    device = names.gateway_device(router.gateway.id)
    return f'    oifname "{device}" meta nfproto ipv4 ct state invalid drop\n'


def _input(router: Router) -> str:
    if not router.gateway:
        return ""
    device = names.gateway_device(router.gateway.id)
    lines = [
        f'iifname "{device}" meta l4proto {{ icmp, ipv6-icmp }} accept',
        f'iifname "{device}" drop',
    ]
    for version, word in ((4, "ip"), (6, "ip6")):
        found = [str(a) for a in gateway_addresses(router) if a.version == version]
        if found:
            lines.append(f"{word} daddr {{ {', '.join(found)} }} meta l4proto {{ tcp, udp }} drop")
    return "".join(f"    {line}\n" for line in lines)


def gateway_addresses(router: Router) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the addresses of a router's gateway port, in order."""
    return [ipaddress.ip_interface(text).ip for text in router.gateway.addresses] if router.gateway else []


def _translation(router: Router, floating_ips: Sequence[FloatingIP]) -> str:
    outside = next((str(a) for a in gateway_addresses(router) if a.version == 4), None)
    if router.gateway is None or outside is None:
        return ""
    device = names.gateway_device(router.gateway.id)
    whole = [f for f in floating_ips if f.fixed_ip]
    forwarded = forwardings.maps(floating_ips)
    to_fixed = {f.floating_ip: f.fixed_ip for f in whole}
    to_floating: dict[str, str] = {}
    for floating_ip in whole:
        to_floating.setdefault(floating_ip.fixed_ip, floating_ip.floating_ip)
    snat = f"    meta nfproto ipv4 snat ip to {outside}\n" if router.snat else ""
    return f"""\
  map floating_to_fixed {{
    type ipv4_addr : ipv4_addr
{_elements(to_fixed)}  }}
  map fixed_to_floating {{
    type ipv4_addr : ipv4_addr
{_elements(to_floating)}  }}
{forwarded}  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
{forwardings.IN if forwarded else ""}\
    dnat ip to ip daddr map @floating_to_fixed
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    iifname != "{device}" oifname != "{device}" ct status dnat goto hairpin
    oifname != "{device}" return
{forwardings.OUT if forwarded else ""}\
    snat ip to ip saddr map @fixed_to_floating
{snat}  }}
  chain hairpin {{
    snat ip to ip saddr map @fixed_to_floating
    meta nfproto ipv4 snat ip to {outside}
  }}
"""


def _elements(mapping: dict[str, str]) -> str:
    pairs = (
        f"{ipaddress.IPv4Address(key)} : {ipaddress.IPv4Address(value)}"
        for key, value in sorted(mapping.items())
    )
    text = ", ".join(pairs)
    return f"    elements = {{ {text} }}\n" if text else ""
