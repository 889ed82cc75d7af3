"""Networks as Linux bridges, with VXLAN or a physical device as the way out of the host."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from deuteron.agent import names
from deuteron.agent.context import Context
from deuteron.agent.l2 import devices, fdb, physical, vlans
from deuteron.agent.system import bridge, ip, sysctl, vlan
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Network, Port, Remote, Unit

# What crosses all bridges is not filtered for the sake of some: those with filtered ports are told apart.
_NO_NETFILTER = {f"net/bridge/bridge-nf-call-{kind}": "0" for kind in ("iptables", "ip6tables", "arptables")}
_DOOMED = 0x6465616D
"""The device group of devices that are about to be deleted."""
_OWN = ("brq", "vxlan-", "vlan")
"""How the names of devices begin that are made here."""
_FEW = 8
"""Devices up to which asking for each is cheaper than asking for all."""


class BridgeManager:
    """One bridge for each network of this host; devices of instances are put into it as they are plugged."""

    kinds: tuple[type[Unit], ...] = (Network, Port, Remote)
    pending = False

    def __init__(self, context: Context, refusal: Callable[[Port], str]) -> None:
        """Build on the host of `context`; `refusal` says why a port must not be put on its bridge yet."""
        self._context = context
        self._refusal = refusal
        self._networks: dict[str, Network] = {}
        self._ports: dict[str, Port] = {}
        self._taps: dict[str, str] = {}  # device -> port
        self._remotes: dict[str, dict[str, Remote]] = {}  # network -> id -> remote
        self._network_of: dict[str, str] = {}  # remote -> network
        self._held: dict[str, fdb.Entries] = {}  # network -> what its device holds
        self._gone: dict[str, Network] = {}
        self._left: list[Network] = []  # as they were on another segment
        self._gone_taps: set[str] = set()
        self._dirty: set[str] = set()  # networks
        self._dirty_entries: set[str] = set()  # networks
        self._dirty_ports: set[str] = set()
        self._touched: set[str] = set()  # devices
        self._built: set[str] = set()  # devices
        self._compare = True

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        match unit:
            case Network():
                if (former := self._networks.get(unit.id)) and _way(former) != _way(unit):
                    self._left.append(former)
                self._networks[unit.id] = unit
                self._gone.pop(unit.id, None)
                self._dirty.add(unit.id)
            case Port():
                if unit.id in self._ports and self._ports[unit.id].waiting != unit.waiting:
                    self._context.status.set_port(unit.id, False)  # so that it is said again when it is up
                self._ports[unit.id] = unit
                self._taps[names.tap(unit.id)] = unit.id
                self._gone_taps.discard(names.tap(unit.id))
                self._dirty_ports.add(unit.id)
            case Remote():
                self._forget_remote(unit.id)
                self._remotes.setdefault(unit.network, {})[unit.id] = unit
                self._network_of[unit.id] = unit.network
                self._dirty_entries.add(unit.network)

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        kind, _, identity = key.partition("/")
        if kind == "network" and identity in self._networks:
            self._gone[identity] = self._networks.pop(identity)
            self._dirty.discard(identity)
        elif kind == "port" and identity in self._ports:
            del self._ports[identity]
            self._taps.pop(names.tap(identity), None)
            self._gone_taps.add(names.tap(identity))
            self._dirty_ports.discard(identity)
            self._context.status.set_port(identity, False)
        elif kind == "remote":
            self._forget_remote(identity)

    def recheck(self) -> None:
        """Compare everything at the next turn."""
        self._compare = True

    def concerns(self, device: str) -> bool:
        """Return whether it may be a port's device or one of ours."""
        return device.startswith(("tap", *_OWN))

    def device_changed(self, device: str) -> None:
        """Note that a device came, went or changed."""
        self._touched.add(device)

    def apply(self) -> dict[str, str]:
        """Make the host so."""
        self._notice_changes()
        self._forget_taps()
        problems = self._compare_all() if self._compare else {}
        problems |= self._remove_networks()
        problems |= self._build_networks()
        problems |= self._write_entries()
        problems |= self._connect_ports()
        return problems

    def _notice_changes(self) -> None:
        for device in self._touched:
            if device in self._taps:
                self._dirty_ports.add(self._taps[device])
            elif device in self._built and not ip.exists(device):
                self._compare = True
        self._touched.clear()

    def _forget_remote(self, identity: str) -> None:
        network = self._network_of.pop(identity, None)
        if network is not None:
            self._remotes[network].pop(identity)
            if not self._remotes[network]:
                del self._remotes[network]
            self._dirty_entries.add(network)

    def _compare_all(self) -> dict[str, str]:
        """Mark everything, read what the devices hold, and remove what is ours and not wanted."""
        present = [path for path in _NO_NETFILTER if Path("/proc/sys", path).exists()]
        sysctl.write({path: _NO_NETFILTER[path] for path in present})
        links = _links(ip.show("link show"))
        held = fdb.held(bridge.show("fdb show"))
        wanted = set()
        for network in self._networks.values():
            wanted |= _own_devices(network)
            if network.vni is not None:
                have = held.get(names.vxlan(network.vni), fdb.Entries())
                self._held[network.id] = fdb.after_restart(have, self._wanted(network))
        unwanted = {
            name
            for name, link in links.items()
            if name.startswith(_OWN) and names.is_ours(link) and name not in wanted
        }
        self._dirty |= self._networks.keys()
        self._dirty_ports |= self._ports.keys()
        self._compare = False
        return self._delete_devices(unwanted, links)

    def _remove_networks(self) -> dict[str, str]:
        gone = list(self._gone.values())
        if not gone:
            return {}
        unwanted = {name for network in gone for name in _own_devices(network)}
        links = _look_up([*unwanted, *self._context.bridge_mappings.values()])
        problems = self._delete_devices(
            {name for name in unwanted & links.keys() if names.is_ours(links[name])}, links
        )
        if not problems:
            for network in gone:
                del self._gone[network.id]
                self._held.pop(network.id, None)
        return problems

    def _delete_devices(self, unwanted: set[str], links: dict[str, devices.Link]) -> dict[str, str]:
        """Delete devices, all at once: one by one, each would wait for the whole kernel to take notice."""
        released = [
            device
            for device in self._context.bridge_mappings.values()
            if links.get(device, {}).get("master", "") in unwanted
        ]
        self._built -= unwanted
        for name in sorted(unwanted):
            if name.startswith("vlan"):
                vlans.forget(name, self._tags(), self._context.run_dir)
        marked = {f"device/{name}": [f"link set {name} group {_DOOMED}"] for name in sorted(unwanted)}
        problems = ip.batch_groups(marked)
        if len(problems) < len(marked):
            problems |= ip.batch_groups({"device/*": [f"link delete group {_DOOMED}"]})
        for device in released:
            physical.give_back(device, self._context.run_dir)
        return problems

    def _build_networks(self) -> dict[str, str]:
        problems: dict[str, str] = self._leave_segments()
        todo: dict[str, devices.Work] = {}
        mappings = self._context.bridge_mappings
        tunnel = devices.Tunnel(self._context.local_ip, self._context.dscp_inherit)
        networks = [self._networks[identity] for identity in sorted(self._dirty)]
        links = _look_up([name for network in networks for name in self._devices(network)])
        for network in networks:
            try:
                members = _members(names.bridge(network.id))
                todo[network.id] = devices.work(network, links, mappings, tunnel, members)
            except devices.Refused as error:
                problems[network.key] = str(error)
        for device in mappings.values():
            if any(device in work.devices for work in todo.values()):
                physical.remember(device, self._context.run_dir)
        for work in todo.values():
            if work.vlan is not None:
                vlans.remember(work.vlan.physical, links, self._context.run_dir)
        problems |= _do({f"network/{identity}": work for identity, work in todo.items()})
        for identity, work in todo.items():
            if any(command.startswith("link add vxlan") for command in work.make):
                self._held[identity] = fdb.Entries()
            if f"network/{identity}" not in problems:
                if work.vlan is not None:
                    vlans.release(work.vlan.former, self._tags())
                self._built |= _own_devices(self._networks[identity])
                self._dirty.discard(identity)
                self._dirty_entries.add(identity)
        return problems

    def _leave_segments(self) -> dict[str, str]:
        """Take networks that are on another segment now off the former one."""
        problems: dict[str, str] = {}
        while self._left and not problems:
            former = self._left[-1]
            device = self._context.bridge_mappings.get(former.physical_network or "", "")
            unwanted = _own_devices(former) - _own_devices(self._networks.get(former.id, former))
            links = _look_up([*unwanted, *([device] if device else [])])
            if former.type == "flat" and links.get(device, {}).get("master") == names.bridge(former.id):
                problems |= ip.batch_groups({former.key: [f"link set {device} nomaster"]})
                physical.give_back(device, self._context.run_dir)
            ours = {name for name in unwanted & links.keys() if names.is_ours(links[name])}
            if ours:
                problems |= self._delete_devices(ours, links)
                self._held.pop(former.id, None)
            if not problems:
                self._left.pop()
        return problems

    def _tags(self) -> set[str]:
        """Return which VLANs are wanted, each as DEVICE TAG."""
        device, every = self._context.bridge_mappings, self._networks.values()
        return {f"{device.get(one.physical_network or '')} {one.vlan}" for one in every if one.type == "vlan"}

    def _devices(self, network: Network) -> set[str]:
        physical = self._context.bridge_mappings.get(network.physical_network or "")
        ends = {names.vlan_end(names.vlan(network.id))} if network.type == "vlan" else set()
        return _own_devices(network) | ends | ({physical} if physical else set())

    def _wanted(self, network: Network) -> fdb.Entries:
        return fdb.wanted(network, self._remotes.get(network.id, {}).values())

    def _write_entries(self) -> dict[str, str]:
        groups: dict[str, list[str]] = {}
        targets: dict[str, fdb.Entries] = {}
        for identity in sorted(self._dirty_entries):
            network = self._networks.get(identity)
            if network is None or network.vni is None:
                self._dirty_entries.discard(identity)
            elif identity not in self._dirty:
                have = self._held.get(identity, fdb.Entries())
                targets[identity] = self._wanted(network)
                groups[network.key] = fdb.difference(names.vxlan(network.vni), have, targets[identity])
        problems = bridge.batch_groups(groups)
        for identity, entries in targets.items():
            if f"network/{identity}" in problems:
                self._compare = True  # what the device holds now is not known
            else:
                self._held[identity] = entries
                self._dirty_entries.discard(identity)
        return problems

    def _connect_ports(self) -> dict[str, str]:
        problems: dict[str, str] = {}
        groups: dict[str, list[str]] = {}
        for identity in sorted(self._dirty_ports):
            port = self._ports[identity]
            device = names.tap(identity)
            if not ip.exists(device):
                self._context.status.set_port(identity, False)
                self._dirty_ports.discard(identity)
            elif port.network not in self._networks:
                problems[port.key] = f"its network {port.network} is not planned for this host"
            elif port.network in self._dirty:
                problems[port.key] = f"its network {port.network} is not built"
                self._context.status.set_port(identity, False)
            elif refusal := self._refusal(port):
                problems[port.key] = refusal
                self._context.status.set_port(identity, False)
                _take_out([device])  # a hypervisor may have put it there
            else:
                groups[port.key] = _plug(port, device)
        for key in groups:
            problems |= _quieten(key, [names.tap(key.partition("/")[2])])
        problems |= ip.batch_groups({key: group for key, group in groups.items() if key not in problems})
        for key in groups:
            identity = key.partition("/")[2]
            well = key not in problems
            port = self._ports[identity]
            self._context.status.set_port(identity, well and port.admin_state_up)
            if well:
                self._dirty_ports.discard(identity)
        return problems

    def _forget_taps(self) -> None:
        """Take devices whose ports are gone out of our bridges; they are removed by who plugged them."""
        _take_out(self._gone_taps)
        self._gone_taps.clear()


def _do(todo: Mapping[str, devices.Work]) -> dict[str, str]:
    """Do the work for many networks at once; return what failed."""
    problems = ip.batch_groups({key: work.make for key, work in todo.items() if work.make})
    for key, work in todo.items():
        if key not in problems:
            problems |= _quieten(key, work.devices)
        if work.vlan is not None and key not in problems:
            problems |= _steer(key, work.vlan)
    return problems | ip.batch_groups(
        {key: work.start for key, work in todo.items() if work.start and key not in problems}
    )


def _steer(key: str, wanted: devices.Vlan) -> dict[str, str]:
    try:
        vlan.steer(wanted.physical, wanted.device, wanted.tag)
    except SystemCommandError as error:
        return {key: str(error)}
    return {}


def _quieten(key: str, quiet: Iterable[str]) -> dict[str, str]:
    try:
        for device in quiet:
            sysctl.write(devices.quiet(device))
    except SystemCommandError as error:
        return {key: str(error)}
    return {}


def _own_devices(network: Network) -> set[str]:
    """Return the names of the devices that we make for a network."""
    made = {names.bridge(network.id)}
    if network.type == "vlan":
        made.add(names.vlan(network.id))
    return made if network.vni is None else made | {names.vxlan(network.vni)}


def _way(network: Network) -> tuple[object, ...]:
    """Return what says which segment a network is on."""
    return network.type, network.vni, network.physical_network, network.vlan


def _plug(port: Port, device: str) -> list[str]:
    netfilter = "nf_call_iptables 1 nf_call_ip6tables 1 nf_call_arptables 0"
    return [
        *([f"link set {names.bridge(port.network)} type bridge {netfilter}"] if port.filtered else []),
        f"link set {device} mtu {port.mtu}",
        f"link set {device} master {names.bridge(port.network)}",
        f"link set {device} {'up' if port.admin_state_up else 'down'}",
    ]


def _take_out(taps: Iterable[str]) -> None:
    """Take devices out of our bridges."""
    present = [device for device in sorted(taps) if ip.exists(device)]
    links = _look_up(present)
    ip.batch_groups(
        {
            device: [f"link set {device} nomaster"]
            for device in present
            if links.get(device, {}).get("master", "").startswith("brq")
        }
    )


def _members(bridge_name: str) -> list[str]:
    """Return the names of the devices in a bridge; none if there is no such bridge."""
    try:
        return sorted(path.name for path in Path("/sys/class/net", bridge_name, "brif").iterdir())
    except FileNotFoundError:
        return []


def _links(dump: Iterable[devices.Link]) -> dict[str, devices.Link]:
    return {link["ifname"]: link for link in dump}


def _look_up(wanted: Sequence[str]) -> dict[str, devices.Link]:
    """Return those devices that are there, with their addresses."""
    present = [name for name in wanted if ip.exists(name)]
    if len(present) > _FEW:
        found = _links(ip.show("address show"))
        return {name: found[name] for name in present if name in found}
    links: dict[str, devices.Link] = {}
    for name in present:
        try:
            links |= _links(ip.show(f"address show dev {name}"))
        except SystemCommandError:
            if ip.exists(name):
                raise
    return links
