"""The table that keeps distributed parts on their host.

They are the same on every host: their addresses, on Ethernet and in ARP and neighbour discovery, neither
leave by a tunnel nor come in by one. What a part forwards to another host has the DVR MAC address of this one
as its source.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

TABLE = "deuteron_dvr"
EMPTY = f"table bridge {TABLE}\ndelete table bridge {TABLE}\n"
"""What removes the table, whether or not it is there."""
_GROUP_AND_NEIGHBOUR = "{ 130-137, 143 }"
"""Types of ICMPv6 that are meant for a link: listeners, routers, neighbours."""


@dataclass(frozen=True)
class Tunnel:
    """A network's way out of this host, with what open distributed parts are on that network."""

    device: str
    macs: tuple[str, ...]
    """Of the gateways."""
    settled: tuple[str, ...]
    """Those to which nothing may leave: the bridge knows that they are here."""
    addresses: tuple[str, ...]
    """Of the gateways, IPv4."""
    addresses6: tuple[str, ...]
    """The same, IPv6, link-local ones too."""
    mac: str
    """What stands for `macs` outside: this host's DVR MAC."""


def render(closed: Iterable[str], tunnels: Sequence[Tunnel]) -> str:
    """Return what replaces the table, in one transaction; `closed` are devices that are to be mute."""
    closed = sorted(closed)
    if not closed and not tunnels:
        return EMPTY
    elements = f"    elements = {{ {', '.join(map(_quoted, closed))} }}\n" if closed else ""
    into = ", ".join(f"{_quoted(tunnel.device)} : goto from-{tunnel.device}" for tunnel in tunnels)
    out = ", ".join(f"{_quoted(tunnel.device)} : goto to-{tunnel.device}" for tunnel in tunnels)
    chains = "".join(map(_chains, tunnels))
    return f"""\
{EMPTY}table bridge {TABLE} {{
  set closed {{
    type ifname
{elements}  }}
{chains}  chain received {{
    type filter hook prerouting priority -305; policy accept;
    iifname @closed drop
{f"    iifname vmap {{ {into} }}{chr(10)}" if into else ""}  }}
  chain forwarded {{
    type filter hook forward priority -305; policy accept;
    oifname @closed drop
{f"    oifname vmap {{ {out} }}{chr(10)}" if out else ""}  }}
  chain sent {{
    type filter hook output priority -305; policy accept;
    oifname @closed drop
  }}
}}
"""


def _chains(tunnel: Tunnel) -> str:
    """Return what is done to frames that come by a tunnel, before the bridge learns, and that leave by it."""
    common = []
    if tunnel.addresses:
        common.append(f"arp operation request arp daddr ip {_set(tunnel.addresses)} drop")
    if tunnel.addresses6:  # nft 1.0.6 has no name for the target of a solicitation
        targets = _set([f"0x{_number(address)}" for address in tunnel.addresses6])
        common.append(f"icmpv6 type nd-neighbor-solicit @th,64,128 {targets} drop")
    common += [
        f"ether saddr != {_set(tunnel.macs)} return",
        "ether type arp drop",
        f"icmpv6 type {_GROUP_AND_NEIGHBOUR} drop",
        f"ether saddr set {tunnel.mac}",
    ]
    into = [f"ether daddr {_set(tunnel.macs)} drop", *common]
    out = [f"ether daddr {_set(tunnel.settled)} drop", *common] if tunnel.settled else common
    return _chain(f"from-{tunnel.device}", into) + _chain(f"to-{tunnel.device}", out)


def _chain(name: str, lines: Sequence[str]) -> str:
    text = "".join(f"    {line}\n" for line in lines)
    return f"  chain {name} {{\n{text}  }}\n"


def _number(address: str) -> str:
    return IPv6Address(address).packed.hex()


def _quoted(device: str) -> str:
    return f'"{device}"'


def _set(words: Sequence[str]) -> str:
    return f"{{ {', '.join(words)} }}"
