"""What nftables does on bridges: metadata is the host's own, and nobody else speaks in its name.

Frames of an instance for the IPv4 address of metadata go to this host's, whoever the instance believes to be
the way there: a route on the link, or its router. All hosts have the same addresses, so nothing that is from
or for them passes between hosts, and no instance may speak in their name. Pure.
"""

import ipaddress
import re
from collections.abc import Iterable

from deuteron.agent.metadata.legs import ADDRESS, ADDRESS_V6, MAC

TABLE = "deuteron_metadata"
EMPTY = f"table bridge {TABLE}\ndelete table bridge {TABLE}\n"
"""What removes the table, whether or not it is there."""
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}")
_TARGET = f"@th,64,128 {int(ipaddress.IPv6Address(ADDRESS_V6)):#034x}"
"""The address that a neighbour solicitation or advertisement is about; nft 1.0.6 has no name for it."""


def render(taps: Iterable[str], uplinks: Iterable[str]) -> str:
    """Return what replaces the table; `taps` are instances' devices, `uplinks` lead to other hosts.

    Raises ValueError when a device's name is none.
    """
    instances = {_checked(tap): "from_instance" for tap in taps}
    beyond = {_checked(uplink): "beyond" for uplink in uplinks}
    return f"""\
{EMPTY}table bridge {TABLE} {{
  map senders {{
    type ifname : verdict
{_elements(instances | beyond)}  }}
  map receivers {{
    type ifname : verdict
{_elements(beyond)}  }}
  chain received {{
    type filter hook prerouting priority -300; policy accept;
    iifname vmap @senders
  }}
  chain forwarded {{
    type filter hook forward priority -300; policy accept;
    oifname vmap @receivers
  }}
  chain from_instance {{
    ether saddr {MAC} drop
    arp saddr ip {ADDRESS} drop
    ip saddr {ADDRESS} drop
    ip6 saddr {ADDRESS_V6} drop
    icmpv6 type nd-neighbor-advert {_TARGET} drop
    ip daddr {ADDRESS} ether daddr set {MAC}
  }}
  chain beyond {{
    ether saddr {MAC} drop
    ether daddr {MAC} drop
    ip daddr {ADDRESS} drop
    arp daddr ip {ADDRESS} drop
    arp saddr ip {ADDRESS} drop
    ip6 daddr {ADDRESS_V6} drop
    ip6 saddr {ADDRESS_V6} drop
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} {_TARGET} drop
  }}
}}
"""


def _checked(device: str) -> str:
    if not _DEVICE.fullmatch(device):
        raise ValueError(f"device {device!r}: characters that do not belong there")
    return device


def _elements(verdicts: dict[str, str]) -> str:
    text = ", ".join(f'"{device}" : goto {chain}' for device, chain in sorted(verdicts.items()))
    return f"    elements = {{ {text} }}\n" if text else ""
