"""dnsmasq's files, from the plan. Pure; every text that reaches a file is checked here."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deuteron.agent import names
from deuteron.agent.dhcp.options import MICROSOFT_ROUTES, ROUTER, ROUTES, option
from deuteron.agent.dhcp.texts import ID, MAC, NAME, Unfit, checked
from deuteron.plan.units import Dhcp, DhcpSubnet, Lease

_METADATA = ipaddress.ip_network("169.254.169.254/32")
_NONE = {"0.0.0.0", "::"}
"""Name servers that mean: announce none."""


@dataclass(frozen=True)
class Files:
    """What a DHCP server reads."""

    config: str
    """A change of this one needs a restart; of the others, a SIGHUP."""
    hosts: str
    options: str
    names: str
    refused: dict[str, str]
    """Leases, or options of theirs, that are left out: unit key -> why."""


def files(dhcp: Dhcp, leases: Iterable[Lease], directory: Path, lease_seconds: int) -> Files:
    """Return the files of a network's DHCP server, which are kept in `directory`. Raises Unfit."""
    subnets = [_Subnet(subnet, dhcp) for subnet in sorted(dhcp.subnets, key=lambda subnet: subnet.id)]
    domain = _name(dhcp.dns_domain.rstrip("."), "DNS domain") if dhcp.dns_domain.rstrip(".") else ""
    by_id = {subnet.id: subnet for subnet in subnets}
    hosts: list[str] = []
    addresses: list[str] = []
    options = [line for subnet in subnets for line in subnet.options(subnets, domain)]
    refused = {}
    for lease in sorted(leases, key=lambda lease: lease.id):
        try:
            lines = _lease(lease, by_id, domain)
            own, unfit = _options(lease, by_id, subnets)
        except Unfit as error:
            refused[lease.key] = str(error)
            continue
        hosts += lines[0]
        addresses += lines[1]
        options += own if lines[0] else []
        if unfit and lines[0]:
            refused[lease.key] = "; ".join(unfit)
    return Files(
        config=_config(dhcp, subnets, domain, directory, lease_seconds),
        hosts=_text(hosts),
        options=_text(options),
        names=_text(addresses),
        refused=refused,
    )


def serves(subnet: DhcpSubnet) -> bool:
    """Return whether clients of a subnet are answered at all: with SLAAC alone there is nothing to say."""
    return ":" not in subnet.cidr or subnet.ipv6_address_mode in ("dhcpv6-stateful", "dhcpv6-stateless")


class _Subnet:
    """A subnet with its texts read."""

    def __init__(self, subnet: DhcpSubnet, dhcp: Dhcp) -> None:
        self.id = checked(ID, subnet.id, "subnet id")
        try:
            self.net = ipaddress.ip_network(subnet.cidr)
            self.gateway = ipaddress.ip_address(subnet.gateway_ip) if subnet.gateway_ip else None
            self.servers = [ipaddress.ip_address(server) for server in subnet.dns_nameservers]
            self.routes = [
                (ipaddress.ip_network(destination), ipaddress.ip_address(hop))
                for destination, hop in subnet.host_routes
            ]
            own = [ipaddress.ip_interface(address).ip for address in dhcp.addresses]
        except ValueError as error:
            raise Unfit(f"subnet {subnet.id}: {error}") from None
        self.own = next((address for address in own if address in self.net), None)
        self.assigns = self.net.version == 4 or subnet.ipv6_address_mode == "dhcpv6-stateful"
        self.serves = serves(subnet)

    def options(self, others: list["_Subnet"], domain: str) -> list[str]:
        if not self.serves:
            return []
        return self._options6(domain) if self.net.version == 6 else self._options4(others)

    def _options4(self, others: list["_Subnet"]) -> list[str]:
        tag = f"tag:subnet-{self.id},option:"
        lines = []
        servers = [str(server) for server in self.servers] or ([str(self.own)] if self.own else [])
        servers = [server for server in servers if server not in _NONE]
        if servers:
            lines.append(f"{tag}dns-server,{','.join(servers)}")
        else:
            lines.append(f"{tag}dns-server")
        lines.append(f"{tag}router,{self.gateway}" if self.gateway else f"{tag}router")
        routes = self.static_routes(others, str(self.gateway) if self.gateway else "")
        if routes:
            lines.append(f"{tag}classless-static-route,{routes}")
            lines.append(f"tag:subnet-{self.id},249,{routes}")
        return lines

    def static_routes(self, others: list["_Subnet"], gateway: str) -> str:
        """Return the routes that IPv4 clients are told; "" for none.

        A client that takes these ignores the router option, so that they hold the default route too.
        """
        routes = [f"{destination},{hop}" for destination, hop in self.routes]
        routes += [f"{other.net},0.0.0.0" for other in others if other.net.version == 4 and other is not self]
        if all(destination != _METADATA for destination, _ in self.routes):
            routes.append(f"{_METADATA},0.0.0.0")  # on the link: every host has it
        if routes and gateway and not any(destination.prefixlen == 0 for destination, _ in self.routes):
            routes.append(f"0.0.0.0/0,{gateway}")
        return ",".join(routes)

    def _options6(self, domain: str) -> list[str]:
        tag = f"tag:subnet-{self.id},option6:"
        servers = [str(server) for server in self.servers] or ([str(self.own)] if self.own else [])
        found = [f"[{server}]" for server in servers if server not in _NONE]
        # Without this line dnsmasq would announce itself.
        lines = [f"{tag}dns-server,{','.join(found)}" if found else f"{tag}dns-server"]
        return [*lines, f"{tag}domain-search,{domain}"] if domain else lines


def _config(dhcp: Dhcp, subnets: list[_Subnet], domain: str, directory: Path, lease_seconds: int) -> str:
    lines = [
        "no-hosts",
        "no-resolv",
        "no-ping",
        "bind-dynamic",
        f"interface={names.dhcp_device(checked(ID, dhcp.port, 'port id'))}",
        "except-interface=lo",
        "log-facility=-",
        "quiet-dhcp",
        "quiet-dhcp6",
        "pid-file=",
        f"dhcp-hostsfile={directory}/hosts",
        f"dhcp-optsfile={directory}/options",
        f"addn-hosts={directory}/names",
        f"dhcp-leasefile={directory}/leases",
        "dhcp-lease-max=16777216",
        "dhcp-authoritative",
        # A client that this server does not know may be another server's: no answer, not a refusal.
        "dhcp-ignore=tag:!known",
        # Ports' options may be for iPXE only, or for all others.
        "dhcp-match=set:ipxe,175",
        "dhcp-userclass=set:ipxe6,iPXE",
        f"dhcp-option-force=option:mtu,{int(dhcp.mtu)}",
    ]
    if domain:
        lines += [f"domain={domain}", f"local=/{domain}/"]
    for subnet in subnets:
        if subnet.serves and subnet.net.version == 4:
            mask = f"{subnet.net.network_address},static,{subnet.net.netmask}"
            lines.append(f"dhcp-range=set:subnet-{subnet.id},{mask},{lease_seconds}s")
        elif subnet.serves:
            prefix = f"{subnet.net.network_address},static,{subnet.net.prefixlen}"
            lines.append(f"dhcp-range=set:subnet-{subnet.id},{prefix},{lease_seconds}s")
    return _text(lines)


def _lease(lease: Lease, subnets: dict[str, _Subnet], domain: str) -> tuple[list[str], list[str]]:
    """Return the lines of a lease for the file of hosts and for that of names."""
    mac = checked(MAC, lease.mac, "MAC address")
    host = _name(lease.hostname, "host name")
    short = host.partition(".")[0]
    given: dict[int, list[str]] = {4: [], 6: []}
    served = False
    addresses = []
    for subnet_id, text in lease.addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError as error:
            raise Unfit(str(error)) from None
        addresses.append(f"{address} {short}.{domain} {short}" if domain else f"{address} {short}")
        subnet = subnets.get(subnet_id)
        if subnet is None:
            continue  # of another segment: its own servers serve it, its name is known everywhere
        served = served or subnet.serves
        if subnet.assigns:
            given[address.version].append(str(address) if address.version == 4 else f"[{address}]")
    # One line holds one IPv4 address and any number of IPv6 addresses.
    first, *others = [[address] for address in given[4]] or [[]]
    head = [mac, short, *([f"set:{_tag(lease)}"] if lease.options else [])]
    lines = [[*head, *first, *given[6]], *([*head, *other] for other in others)]
    # Who gets no address here may still ask for the rest, and must be known for that.
    return ([",".join(line) for line in lines] if served else []), addresses


def _tag(lease: Lease) -> str:
    return f"port-{checked(ID, lease.id, 'port id')}"


def _options(lease: Lease, by_id: dict[str, _Subnet], subnets: list[_Subnet]) -> tuple[list[str], list[str]]:
    """Return the lines of a lease's own options, and why others are left out."""
    lines: dict[tuple[int, int, str], str] = {}  # (IP version, number, tags) -> line
    unfit = []
    for version, name, value in lease.options:
        tags = name.rpartition(",")[0]
        try:
            line, number = option(_tag(lease), version, name, value)
        except Unfit as error:
            unfit.append(str(error))
            continue
        if lines.setdefault((version, number, tags), line) != line:
            unfit.append(f"DHCP option {name!r} is given twice")
        if (version, number) == (4, ROUTES):
            microsoft = option(_tag(lease), 4, ",".join(filter(None, [tags, str(MICROSOFT_ROUTES)])), value)
            lines.setdefault((4, MICROSOFT_ROUTES, tags), microsoft[0])
    if (4, ROUTER, "") in lines and (4, ROUTES, "") not in lines:
        gateway = lines[4, ROUTER, ""].split(",")[2:3]
        found = [by_id[id_] for id_, _ in lease.addresses if id_ in by_id]
        return [*lines.values(), *_routes_by(_tag(lease), found, subnets, "".join(gateway))], unfit
    return list(lines.values()), unfit


def _routes_by(tag: str, own: list[_Subnet], subnets: list[_Subnet], gateway: str) -> list[str]:
    """Return the lines for a client with a router of its own: beside routes, only a default route counts."""
    found = {one.id: one.static_routes(subnets, gateway) for one in own if one.net.version == 4}
    return [
        f"tag:{tag},tag:subnet-{id_},{number},{routes}"
        for id_, routes in found.items()
        for number in (ROUTES, MICROSOFT_ROUTES)
        if routes
    ]


def _name(text: str, what: str) -> str:
    if len(text) > 253:
        raise Unfit(f"{what} {text[:60]!r}...: longer than 253 characters")
    return checked(NAME, text, what)


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def stale_leases(leases: str, hosts_before: str, hosts_now: str) -> str | None:
    """Return dnsmasq's file of leases without those that stand in the way of another client; None if none do.

    `leases` is the file as dnsmasq wrote it, the other two are its files of hosts before and now. A lease is
    in the way when its address has come to another MAC address, or has come back after it was away: dnsmasq
    would keep it for the former client until it runs out.
    """
    before, now = _owners(hosts_before), _owners(hosts_now)
    kept = []
    for line in leases.splitlines():
        words = line.split()
        address = words[2] if len(words) > 2 and words[0] != "duid" else ""
        # IPv4 lines name the MAC address, IPv6 lines do not.
        if address in now and now[address] not in (before.get(address), words[1]):
            continue
        kept.append(line)
    return _text(kept) if len(kept) < len(leases.splitlines()) else None


def _owners(hosts: str) -> dict[str, str]:
    """Return address -> MAC address of a file of hosts."""
    owners = {}
    for line in hosts.splitlines():
        mac, _, *words = line.split(",")
        owners.update({word.strip("[]"): mac for word in words if not word.startswith("set:")})
    return owners
