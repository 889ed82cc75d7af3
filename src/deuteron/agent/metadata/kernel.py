"""The legs of metadata in the kernel: what there is, and making it what it must be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deuteron.agent import names
from deuteron.agent.metadata import guard, legs
from deuteron.agent.metadata.legs import NAMESPACE, Leg, Link
from deuteron.agent.system import bridge, ip, netns, nft, sysctl
from deuteron.agent.system.errors import SystemCommandError

_DOOMED = 0x6D657461
"""The device group of devices that are about to be deleted."""


@dataclass(frozen=True)
class Present:
    """What there is."""

    outside: Mapping[str, Link]
    """Devices of the host, with all that look like ours."""
    foreign: frozenset[str]
    """Bridges of the host that are not ours."""
    inside: Mapping[str, Link]
    """Devices in the namespace."""
    neighbours: Mapping[str, Mapping[str, str]]
    """Device in the namespace -> address -> MAC address, those that last."""

    @property
    def ours(self) -> set[str]:
        """Our ends on the host."""
        prefix = names.metadata_tap("")
        found = {name: link for name, link in self.outside.items() if name.startswith(prefix)}
        return {name for name, link in found.items() if names.is_ours(link)}


def look() -> Present:
    """Return what there is. Raises SystemCommandError."""
    outside = {link["ifname"]: link for link in ip.show("link show type veth")}
    bridges = ip.show("link show type bridge")
    foreign = frozenset(link["ifname"] for link in bridges if not names.is_ours(link))
    if NAMESPACE not in netns.names():
        return Present(outside, foreign, {}, {})
    inside = {link["ifname"]: link for link in ip.show("address show", NAMESPACE)}
    neighbours: dict[str, dict[str, str]] = {}
    for item in ip.show("neigh show nud permanent", NAMESPACE):
        if "lladdr" in item:
            neighbours.setdefault(item["dev"], {})[item["dst"]] = item["lladdr"]
    return Present(outside, foreign, inside, neighbours)


def prepare(present: Present) -> None:
    """Make the namespace. Raises SystemCommandError, also when it is there and is not ours."""
    netns.create(NAMESPACE)
    sysctl.write(legs.SYSCTLS, NAMESPACE)
    addresses = {info.get("local") for info in present.inside.get("lo", {}).get("addr_info", ())}
    if legs.ADDRESS not in addresses:
        ip.batch([f"address replace {legs.ADDRESS}/32 dev lo"], NAMESPACE)


def build(wanted: Iterable[Leg], present: Present) -> dict[str, str]:
    """Make legs so; return why some failed, by network."""
    problems: dict[str, str] = {}
    todo: dict[str, tuple[Leg, Link | None, Link | None]] = {}
    make: dict[str, list[str]] = {}
    for leg in wanted:
        outside, inside = present.outside.get(leg.tap), present.inside.get(leg.device)
        try:
            if names.bridge(leg.network) in present.foreign:
                raise legs.Refused(
                    f"the bridge {names.bridge(leg.network)} is not ours: nothing is put on it"
                )
            make[leg.network] = legs.make(leg, outside, inside)
        except legs.Refused as refusal:
            problems[leg.network] = str(refusal)
            continue
        todo[leg.network] = (leg, outside, inside) if outside and inside else (leg, None, None)
    problems |= ip.batch_groups(make)
    equip = {
        network: legs.equip(leg, inside, present.neighbours.get(leg.device, {}) if inside else {})
        for network, (leg, _, inside) in todo.items()
        if network not in problems
    }
    problems |= ip.batch_groups(equip, NAMESPACE)
    plug = [leg for leg, outside, _ in todo.values() if not legs.is_plugged(leg, outside)]
    plug = [leg for leg in plug if leg.network not in problems]
    for leg in plug:
        try:
            sysctl.write({f"net/ipv6/conf/{leg.tap}/disable_ipv6": "1"})
        except SystemCommandError as error:
            problems[leg.network] = str(error)
    problems |= ip.batch_groups({leg.network: legs.plug(leg) for leg in plug if leg.network not in problems})
    return problems | bridge.batch_groups(
        {leg.network: [legs.entry(leg)] for leg in plug if leg.network not in problems}
    )


def meet(wanted: Mapping[str, Leg], built: Mapping[str, Leg]) -> None:
    """Have legs know the neighbours that came and went. Raises SystemCommandError."""
    todo = [line for network, leg in wanted.items() for line in legs.meet(leg, built[network].neighbours)]
    if todo:
        ip.batch(todo, NAMESPACE)


def remove(taps: Iterable[str]) -> None:
    """Delete ends on the host, and with them the others. Raises SystemCommandError.

    All at once: one by one, each would wait for the whole kernel to take notice.
    """
    marked = [f"link set {tap} group {_DOOMED}" for tap in sorted(taps)]
    if marked:
        ip.batch([*marked, f"link delete group {_DOOMED}"])


def clear() -> None:
    """Remove the namespace and the table, if they are there and ours. Raises SystemCommandError, OSError."""
    nft.apply(guard.EMPTY)
    if NAMESPACE in netns.names() and netns.is_ours(NAMESPACE):
        netns.delete(NAMESPACE)


def identities(devices: Mapping[str, Leg]) -> dict[str, str]:
    """Return what tells a leg from one of the same name made later: network -> identity.

    `devices` are network -> leg. Raises SystemCommandError, OSError.
    """
    inode = netns.path(NAMESPACE).stat().st_ino
    indexes = {link["ifname"]: link["ifindex"] for link in ip.show("link show", NAMESPACE)}
    return {
        network: f"{inode}.{indexes[leg.device]}" for network, leg in devices.items() if leg.device in indexes
    }


def neighbour(network: str, address: str) -> str | None:
    """Return the MAC address that answers to an address of a network go to; None if that is not known."""
    try:
        found = ip.show(f"neigh show to {address} dev {names.metadata_device(network)}", NAMESPACE)
    except (SystemCommandError, OSError):
        return None
    return next((str(item["lladdr"]) for item in found if "lladdr" in item), None)
