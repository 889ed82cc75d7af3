"""What nftables does on bridges: metadata is the host's own, and nobody else speaks in its name.

Frames of an instance for the addresses of metadata go to this host's, whoever the instance believes to be the
way there: a neighbour on the link, or its router. (That nothing passes between the legs of metadata and other
hosts is the work of isolated bridge ports.) One lookup decides about a frame that is of no interest. Pure.
"""

import ipaddress
import re
from collections.abc import Iterable, Set

from deuteron.agent.metadata.legs import ADDRESS, ADDRESS_V6, MAC

TABLE = "deuteron_metadata"
EMPTY = f"table bridge {TABLE}\ndelete table bridge {TABLE}\n"
"""What removes the table, whether or not it is there."""
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}")
_DESTINATION = f"@nh,128,32 {int(ipaddress.IPv4Address(ADDRESS)):#x}"
"""As `ip daddr`, which would look once more whether it is IPv4 at all."""
_TARGET = f"@th,64,128 {int(ipaddress.IPv6Address(ADDRESS_V6)):#x}"
"""The address that a neighbour solicitation or advertisement is about; nft 1.0.6 has no name for it."""
_OF_INSTANCE = {"ip": "ip_of_instance", "arp": "arp_of_instance", "ip6": "ip6_of_instance"}
_BEYOND = {"arp": "arp_beyond", "ip6": "ip6_beyond"}


def render(taps: Iterable[str], uplinks: Iterable[str]) -> str:
    """Return what replaces the table; `taps` are instances' devices, `uplinks` lead to other hosts.

    Raises ValueError when a device's name is none.
    """
    verdicts = _of_instances(taps)
    verdicts += [_verdict(uplink, *item) for uplink in sorted(uplinks) for item in _BEYOND.items()]
    elements = f"    elements = {{ {', '.join(verdicts)} }}\n" if verdicts else ""
    return f"""\
{EMPTY}table bridge {TABLE} {{
  map senders {{
    type ifname . ether_type : verdict
{elements}  }}
  chain received {{
    type filter hook prerouting priority -300; policy accept;
    iifname . ether type vmap @senders
  }}
  chain ip_of_instance {{
    {_DESTINATION} ether daddr set {MAC}
  }}
  chain arp_of_instance {{
    arp saddr ip {ADDRESS} drop
    arp daddr ip {ADDRESS} ether daddr set {MAC}
  }}
  chain arp_beyond {{
    arp saddr ip {ADDRESS} drop
    arp daddr ip {ADDRESS} drop
  }}
  chain ip6_of_instance {{
    meta l4proto != ipv6-icmp return
    ip6 saddr {ADDRESS_V6} drop
    icmpv6 type nd-neighbor-advert {_TARGET} drop
    icmpv6 type nd-neighbor-solicit {_TARGET} ether daddr set {MAC}
  }}
  chain ip6_beyond {{
    meta l4proto != ipv6-icmp return
    ip6 saddr {ADDRESS_V6} drop
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} {_TARGET} drop
  }}
}}
"""


def change(before: Set[str], after: Set[str]) -> str:
    """Return the commands for instances' devices that came and went; "" for none. Raises ValueError."""
    commands = []
    if gone := _of_instances(before - after):
        keys = ", ".join(verdict.partition(" : ")[0] for verdict in gone)
        commands.append(f"delete element bridge {TABLE} senders {{ {keys} }}\n")
    if new := _of_instances(after - before):
        commands.append(f"add element bridge {TABLE} senders {{ {', '.join(new)} }}\n")
    return "".join(commands)


def _of_instances(taps: Iterable[str]) -> list[str]:
    return [_verdict(tap, *item) for tap in sorted(taps) for item in _OF_INSTANCE.items()]


def _verdict(device: str, kind: str, chain: str) -> str:
    if not _DEVICE.fullmatch(device):
        raise ValueError(f"device {device!r}: characters that do not belong there")
    return f'"{device}" . {kind} : goto {chain}'
