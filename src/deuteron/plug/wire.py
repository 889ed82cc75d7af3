"""Puts a port's device on this host, where the agent takes it to the port's network, and takes it away.

The agent knows the device by its name, and leaves it to who made it.
"""

import contextlib
import os
from typing import Any

from deuteron.agent import names
from deuteron.agent.system import ip, netns, sysctl
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plug.guest import Guest

_MADE = "deuteron plug"
"""The alias of the devices that we made."""
_TAKEN = "deuteron plug of "
"""With the former name: the alias of the devices that we took."""


class CannotPlug(Exception):
    """A device cannot be plugged; the text says why and what to do."""


def connect(guest: Guest, namespace: str, interface: str) -> None:
    """Put one end of a new cable on this host and the other, as `interface`, into a namespace.

    `namespace` is a name (/run/netns) or a path. The interface gets the port's MAC and IP addresses and its
    routes. Raises CannotPlug; then nothing is left of it.
    """
    device = names.tap(guest.port)
    if any(word.split() != [word] for word in (namespace, interface)):
        raise CannotPlug(f"namespace {namespace!r}, interface {interface!r}: a name without spaces is needed")
    if not netns.path(namespace).exists():
        raise CannotPlug(f"there is no network namespace {namespace}: ip netns add {namespace}")
    if _link(device):
        raise CannotPlug(f"{device} is there already: the port is plugged on this host")
    try:
        ip.batch(
            [
                f"link add {device} mtu {guest.mtu} type veth peer name {interface} address {guest.mac}"
                f" mtu {guest.mtu} netns {netns.path(namespace)}"
            ]
        )
    except SystemCommandError as error:
        raise CannotPlug(error.reason) from None
    try:
        ip.batch([f"link set {device} alias '{_MADE}'"])
        with netns.entered(namespace):
            _configure(guest, interface)
        ip.batch([f"link set {device} up"])
    except (SystemCommandError, OSError) as error:
        ip.batch([f"link delete {device}"])
        raise CannotPlug(str(error)) from None


def _configure(guest: Guest, interface: str) -> None:
    """Give an interface of this namespace its addresses and routes: it need not ask for any."""
    versions = {one.version for one in guest.addresses}
    quiet = {f"net/ipv6/conf/{interface}/{name}": "0" for name in ("accept_ra", "autoconf")}
    if 6 in versions:
        sysctl.write({**quiet, f"net/ipv6/conf/{interface}/disable_ipv6": "0"})
    commands = [
        f"address add {one.address} dev {interface}" + (" nodad" if one.version == 6 else "")
        for one in guest.addresses
    ]
    commands.append(f"link set {interface} up")
    commands += [
        f"route replace {destination} via {hop} dev {interface} onlink" for destination, hop in guest.routes
    ]
    ip.batch(commands)


def take(port: str, device: str) -> None:
    """Make a device that is there the port's: it gets the name by which the agent knows it.

    Raises CannotPlug.
    """
    link, wanted = _link(device), names.tap(port)
    if link is None:
        raise CannotPlug(f"there is no device {device}: ip tuntap add {device} mode tap")
    if link.get("master"):
        raise CannotPlug(f"{device} is part of {link['master']}: take it out (ip link set {device} nomaster)")
    if device == wanted:
        return
    if _link(wanted):
        raise CannotPlug(f"{wanted} is there already: the port is plugged on this host")
    try:
        ip.batch(
            [
                f"link set {device} alias '{_TAKEN}{device}'",
                f"link set {device} down",
                f"link set {device} name {wanted}",
                f"link set {wanted} up",
            ]
        )
    except SystemCommandError as error:
        raise CannotPlug(str(error)) from None


def disconnect(port: str) -> None:
    """Remove a port's device if we made it; give it its former name back if we took it.

    Another one stays as it is; none at all is fine. Raises SystemCommandError.
    """
    device = names.tap(port)
    link = _link(device)
    alias = (link or {}).get("ifalias", "")
    if alias == _MADE:
        ip.batch([f"link delete {device}"])
    elif alias.startswith(_TAKEN):
        former = alias.removeprefix(_TAKEN)
        ip.batch(
            [
                f"link set {device} down",
                f"link set {device} nomaster",
                f"link set {device} alias ''",
                f"link set {device} name {former}",
            ]
        )


def lacks(guest: Guest, namespace: str, interface: str) -> str:
    """Return what is wrong with an interface that was connected; "" when nothing is."""
    device = names.tap(guest.port)
    if _link(device) is None:
        return f"there is no device {device} on this host"
    try:
        with netns.entered(namespace):
            found = ip.show(f"address show dev {interface}")
    except (SystemCommandError, OSError) as error:
        return f"{namespace}: {error}"
    link = found[0]
    if link["address"] != guest.mac:
        return f"{interface} has the address {link['address']}, the port {guest.mac}"
    have = {f"{info['local']}/{info['prefixlen']}" for info in link["addr_info"]}
    gone = sorted({one.address for one in guest.addresses} - have)
    if gone:
        return f"{interface} lacks {', '.join(gone)}"
    return "" if "UP" in link["flags"] else f"{interface} is down"


def _link(device: str) -> dict[str, Any] | None:
    if not os.path.exists(f"/sys/class/net/{device}"):  # noqa: PTH110 - a name from outside may hold anything
        return None
    with contextlib.suppress(SystemCommandError):
        return ip.show(f"link show dev {device}")[0]
    return None
