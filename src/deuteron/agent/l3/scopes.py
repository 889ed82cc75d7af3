"""Address scopes: addresses of different ones may be the same, and mean other machines. Pure.

As in Neutron, what goes from one scope to another one is either translated or not forwarded, and what stays
in one leaves the router as it is, but for what has a floating IP. All networks without a scope are in one.
"""

from collections.abc import Iterator, Sequence

from deuteron.agent.l3.gateways import Outside
from deuteron.plan.units import RouterPort

_FAMILIES = ("ipv4", "ipv6")
_AS_IT_IS = "ct status & (snat | dnat) == 0"

Inside = tuple[str, RouterPort]
"""A device, and the port that it is."""


def apart(inside: Sequence[Inside]) -> list[str]:
    """Return the rules by which networks of different scopes do not reach each other."""
    return [f"{rule} drop" for rule in _between(inside)]


def crossing(inside: Sequence[Inside], outsides: Sequence[Outside], snat: bool) -> list[str]:
    """Return the rules for what goes to other scopes untranslated, inside and by the gateways."""
    lines = [f"{rule} {_AS_IT_IS} drop" for rule in _between(inside)]
    for one in outsides:
        for index, family in enumerate(_FAMILIES):
            foreign = [name for name, port in inside if port.scopes[index] != one.port.scopes[index]]
            if not foreign:
                continue
            within, of_family = _set(foreign), f"meta nfproto {family}"
            lines.append(f'iifname "{one.device}" oifname {within} {of_family} {_AS_IT_IS} drop')
            if family == "ipv6":
                lines.append(f'iifname {within} oifname "{one.device}" {of_family} drop')
            elif not snat:
                # The source of what has a floating IP is translated only when it leaves.
                fixed = sorted({f.fixed_ip for f in one.floating_ips if f.fixed_ip})
                others = f"ip saddr != {{ {', '.join(fixed)} }} " if fixed else ""
                lines.append(f'iifname {within} oifname "{one.device}" {of_family} {others}{_AS_IT_IS} drop')
    return lines


def staying(inside: Sequence[Inside], outside: Outside) -> str:
    """Return the devices of the scope that a gateway is in, as nftables has them; "" if there are none."""
    scope = outside.port.scopes[0]
    within = [name for name, port in inside if scope and port.scopes[0] == scope]
    return _set(within) if within else ""


def _between(inside: Sequence[Inside]) -> Iterator[str]:
    """Yield what matches packets from a network to one of another scope."""
    for index, family in enumerate(_FAMILIES):
        for scope in sorted({port.scopes[index] for _, port in inside}):
            own = [name for name, port in inside if port.scopes[index] == scope]
            others = [name for name, port in inside if port.scopes[index] != scope]
            if others:
                yield f"iifname {_set(own)} oifname {_set(others)} meta nfproto {family}"


def _set(devices: Sequence[str]) -> str:
    return f"{{ {', '.join(f'{chr(34)}{name}{chr(34)}' for name in devices)} }}"
