"""The lab's three networks: bridges in one namespace, with a port for each host."""

import subprocess
from collections.abc import Iterable, Sequence

from deuteron.lab.topology import DEVICES, LabError, NetworkName, Topology

ALL: tuple[NetworkName, ...] = ("management", "underlay", "external")


def namespace(lab: str) -> str:
    """Return the name of the namespace that holds a lab's bridges."""
    return f"dlab-{lab}-switch"


def port(network: NetworkName, host: str) -> str:
    """Return the name of a host's port on a network, in the namespace of the bridges."""
    return f"{network[0]}-{host}"


def command(lab: str, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs `argv` among a lab's bridges."""
    return ["ip", "netns", "exec", namespace(lab), *argv]


def exist(lab: str) -> bool:
    """Tell whether the lab's bridges are there."""
    listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    return namespace(lab) in {line.partition(" ")[0] for line in listing.splitlines()}


def create(lab: str) -> None:
    """Make the bridges, or complete what a killed command left. Raises LabError."""
    if not exist(lab):
        _run(["ip", "netns", "add", namespace(lab)])
    script = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; "
    script += "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; "
    # Filtering by iptables of the machine must not see what crosses a bridge.
    script += "for f in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ -e $f ] && echo 0 > $f; done; true"
    _run(command(lab, ["sh", "-c", script]))
    there = _links(lab)
    lines = ["link set lo up"]
    for network in ALL:
        if network not in there:
            lines.append(f"link add {network} type bridge mcast_snooping 0 forward_delay 0 stp_state 0")
        lines.append(f"link set {network} up")
    _batch(lab, lines)


def delete(lab: str) -> None:
    """Remove the bridges and all that hangs on them. Raises LabError."""
    if exist(lab):
        _run(["ip", "netns", "delete", namespace(lab)])


def connect(lab: str, topology: Topology, hosts: Iterable[tuple[str, int]]) -> None:
    """Plug hosts, given with the pid of their process 1, into their networks. Raises LabError."""
    lines = []
    for host, pid in hosts:
        for network in topology.hosts[host].networks:
            name = port(network, host)
            peer = f"{DEVICES[network]} address {topology.mac(host, network)} netns {pid}"
            lines.append(f"link add {name} type veth peer name {peer}")
            lines.append(f"link set {name} master {network} up")
    _batch(lab, lines)


def configure(topology: Topology, host: str, pid: int) -> None:
    """Give a plugged host its addresses. Raises LabError."""
    lines = []
    for network, addresses in topology.addresses(host).items():
        device = DEVICES[network]
        lines.append(f"link set {device} up")
        lines += [f"address add {address} dev {device} nodad" for address in addresses]
    lines += [f"address add {address} dev lo nodad" for address in topology.hosts[host].loopback]
    enter = ["nsenter", "-t", str(pid), "-n"]
    if not topology.addresses(host).get("external", ("silent",)):
        quiet = f"/proc/sys/net/ipv6/conf/{DEVICES['external']}/disable_ipv6"
        _run(["nsenter", "-t", str(pid), "-n", "-m", "sh", "-c", f"echo 1 > {quiet}"])
    _run([*enter, "ip", "-batch", "-"], "\n".join(lines) + "\n")


def cut(lab: str, host: str, networks: Sequence[NetworkName]) -> None:
    """Pull the cables of a host: its ports go down on the bridges' side. Raises LabError."""
    _batch(lab, [f"link set {port(network, host)} down" for network in networks])


def heal(lab: str, host: str, networks: Sequence[NetworkName]) -> None:
    """Put the cables back. Raises LabError."""
    _batch(lab, [f"link set {port(network, host)} up" for network in networks])


def disconnect(lab: str, host: str) -> None:
    """Remove a host's ports, as far as they are still there: the kernel removes them too, in its own time."""
    names = [port(network, host) for network in ALL]
    while there := [name for name in names if name in _links(lab)]:
        lines = "".join(f"link delete {name}\n" for name in there)
        argv = ["ip", "-n", namespace(lab), "-force", "-batch", "-"]
        subprocess.run(argv, input=lines, capture_output=True, text=True, check=False)


def ports_up(lab: str) -> set[str]:
    """Return the names of the ports that are not cut."""
    return {name for name, flags in _links(lab).items() if "UP" in flags}


def _links(lab: str) -> dict[str, list[str]]:
    """Return the flags of each link; the listing of iproute2 is quicker read than its JSON."""
    argv = ["ip", "-n", namespace(lab), "-o", "link", "show"]
    found = {}
    for line in subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines():
        words = line.split()
        found[words[1].rstrip(":").partition("@")[0]] = words[2].strip("<>").split(",")
    return found


def _batch(lab: str, lines: Sequence[str]) -> None:
    if lines:
        _run(["ip", "-n", namespace(lab), "-batch", "-"], "\n".join(lines) + "\n")


def _run(argv: Sequence[str], text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
