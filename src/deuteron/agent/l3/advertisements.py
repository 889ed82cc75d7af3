"""What radvd tells the IPv6 networks of a router."""

import ipaddress
from collections.abc import Iterable

from deuteron.agent import names
from deuteron.plan.units import RouterPort


def render(interfaces: Iterable[RouterPort]) -> str:
    """Return radvd's configuration, nothing when the router advertises nowhere."""
    return "".join(_interface(port) for port in interfaces if port.advertised or port.managed or port.other)


def _interface(port: RouterPort) -> str:
    prefixes = "".join(_prefix(cidr, autonomous=True) for cidr in port.advertised)
    prefixes += "".join(_prefix(cidr, autonomous=False) for cidr in port.managed)
    return f"""\
interface {names.internal_device(port.id)} {{
    AdvSendAdvert on;
    IgnoreIfMissing on;
    MinRtrAdvInterval 30;
    MaxRtrAdvInterval 100;
    AdvLinkMTU {port.mtu};
    AdvManagedFlag {_word(bool(port.managed))};
    AdvOtherConfigFlag {_word(port.other or bool(port.managed))};
{prefixes}}};
"""


def _prefix(cidr: str, autonomous: bool) -> str:
    return f"""\
    prefix {ipaddress.IPv6Network(cidr)} {{
        AdvOnLink on;
        AdvAutonomous {_word(autonomous)};
    }};
"""


def _word(value: bool) -> str:
    return "on" if value else "off"
