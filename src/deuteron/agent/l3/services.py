"""What a router does besides forwarding, as nftables has it: pure, from the unit of the plan.

Helpers and the filter of NDP proxies are a table that is replaced as a whole. Meters are another one, where
only rules are replaced: its counters go on.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from deuteron.agent import names
from deuteron.agent.system import nflog
from deuteron.plan.units import Helper, Meter, MeterRule, Router, RouterPort

TABLE = "deuteron_services"
METERS = "deuteron_metering"
_KERNEL_NAMES = {("h323", "tcp"): "Q.931", ("h323", "udp"): "RAS"}
_NAME = re.compile(r"[A-Za-z0-9.-]{1,64}")
_LABEL = "label-"


@dataclass(frozen=True)
class Services:
    """What is wanted in a router's namespace."""

    device: str = ""
    """The first gateway's; without one there are only helpers."""
    others: tuple[str, ...] = ()
    """Those of other gateways."""
    helpers: tuple[Helper, ...] = ()
    closed: tuple[str, ...] = ()
    """IPv6 prefixes into which only what is proxied comes from outside."""
    proxied: tuple[str, ...] = ()
    proxies: bool = False
    meters: tuple[Meter, ...] = ()
    logged: bool = False
    """Whether connections whose source is translated are written down."""

    @property
    def has_table(self) -> bool:
        """Whether there is anything in the table that is replaced as a whole."""
        return bool(self.helpers or self.proxies or self.logged)


def of(router: Router) -> Services:
    """Return what a router does besides forwarding; raises ValueError when an address is none."""
    wanted = router.services
    if router.gateway is None:
        return Services(helpers=wanted.helpers)
    found = (ipaddress.ip_interface(a) for p in _inside(router) for a in p.addresses)
    closed = sorted({str(one.network) for one in found if one.version == 6})
    return Services(
        device=names.gateway_device(router.gateway.id),
        others=tuple(names.gateway_device(one.port.id) for one in router.more_gateways),
        helpers=wanted.helpers,
        closed=tuple(closed) if wanted.ndp_proxy else (),
        proxied=tuple(str(ipaddress.IPv6Address(one)) for one in wanted.proxied),
        proxies=wanted.ndp_proxy,
        meters=wanted.meters,
        logged=bool(wanted.logs),
    )


def _inside(router: Router) -> Iterable[RouterPort]:
    return (*router.interfaces, *router.snat_ports)


def removal(services: Services) -> str:
    """Return what removes the tables that are not wanted (any more)."""
    gone = [table for table, held in ((TABLE, services.has_table), (METERS, services.meters)) if not held]
    return "".join(f"table inet {table}\ndelete table inet {table}\n" for table in gone)


def unusable(helper: Helper) -> bool:
    """Whether no kernel has such a helper."""
    return not _NAME.fullmatch(helper.name) or helper.protocol not in ("tcp", "udp")


def without(services: Services, helpers: Collection[Helper]) -> Services:
    """Return the services without these helpers."""
    return replace(services, helpers=tuple(one for one in services.helpers if one not in helpers))


def render(services: Services, log_limit: str) -> str:
    """Return what replaces the table of helpers, of what is proxied and of logs, in one transaction."""
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
{_helpers(services.helpers)}{_filter(services)}{_log(services, log_limit)}}}
"""


def _helpers(helpers: Iterable[Helper]) -> str:
    helpers = sorted(helpers, key=lambda one: (one.name, one.protocol, one.port))
    if not helpers:
        return ""
    objects = {
        (one.name, one.protocol): _KERNEL_NAMES.get((one.name, one.protocol), one.name) for one in helpers
    }
    declared = "".join(
        f'  ct helper {name}-{protocol} {{\n    type "{known}" protocol {protocol}\n  }}\n'
        for (name, protocol), known in objects.items()
    )
    rules = "".join(
        f'    {one.protocol} dport {one.port:d} ct helper set "{one.name}-{one.protocol}"\n'
        for one in helpers
    )
    return f"""\
{declared}  chain helpers {{
    type filter hook prerouting priority mangle; policy accept;
{rules}  }}
"""


def _filter(services: Services) -> str:
    if not services.proxies or not services.closed:
        return ""
    rule = f'iifname "{services.device}" ip6 daddr {{ {", ".join(services.closed)} }}'
    if services.proxied:
        rule += f" ip6 daddr != {{ {', '.join(services.proxied)} }}"
    return f"""\
  chain proxied {{
    type filter hook forward priority filter; policy accept;
    {rule} drop
  }}
"""


def _log(services: Services, limit: str) -> str:
    if not services.logged:
        return ""
    first = f"oifname {_outside(services)} ct state new ct status & (snat | confirmed) == snat"
    return f"""\
  chain translated {{
    type filter hook postrouting priority srcnat + 10; policy accept;
    {first} limit {limit} log prefix "SNAT" group {nflog.GROUP}
  }}
"""


def _outside(services: Services) -> str:
    """Return the devices of all gateways."""
    if not services.others:
        return f'"{services.device}"'
    quoted = ", ".join(f'"{device}"' for device in (services.device, *services.others))
    return f"{{ {quoted} }}"


def counter(meter: str) -> str:
    """Return the name of a meter's counter, which is also that of its chain."""
    return f"{_LABEL}{meter}"


def meter_of(name: str) -> str:
    """Return the meter that a counter is of."""
    return name.removeprefix(_LABEL)


def render_meters(services: Services, present: Collection[str]) -> str:
    """Return what makes the meters these; `present` are the counters that there are, which go on counting."""
    wanted = [counter(meter.id) for meter in services.meters]
    if any(not _NAME.fullmatch(name) for name in wanted):
        raise ValueError(f"a metering label has no usable id: {wanted}")
    lines = [
        "add table inet {0}",
        "add chain inet {0} forward {{ type filter hook forward priority filter + 10; policy accept; }}",
        "flush chain inet {0} forward",
    ]
    lines += [f"add counter inet {{0}} {name}" for name in wanted if name not in present]
    for name in wanted:
        lines += [f"add chain inet {{0}} {name}", f"flush chain inet {{0}} {name}"]
    for name in sorted(set(present) - set(wanted)):
        lines += [
            f"flush chain inet {{0}} {name}",
            f"delete chain inet {{0}} {name}",
            f"delete counter inet {{0}} {name}",
        ]
    for meter in services.meters:
        name = counter(meter.id)
        for rule in sorted(meter.rules, key=lambda one: not one.excluded):
            act = "return" if rule.excluded else f'counter name "{name}" return'
            lines.append(f"add rule inet {{0}} {name} {_match(services, rule)} {act}")
        lines.append(f"add rule inet {{0}} forward jump {name}")
    return "".join(line.format(METERS) + "\n" for line in lines)


def _match(services: Services, rule: MeterRule) -> str:
    # A pair of braces more: the command is formatted once more.
    device = _outside(services).replace("{", "{{").replace("}", "}}")
    words = [f"{'iifname' if rule.direction == 'ingress' else 'oifname'} {device}"]
    for end, prefix in (("saddr", rule.source), ("daddr", rule.destination)):
        if prefix is not None:
            net = ipaddress.ip_network(prefix)
            words.append(f"{'ip' if net.version == 4 else 'ip6'} {end} {net}")
    return " ".join(words)
