"""dnsmasq's files, from the plan. Pure; every text that reaches a file is checked here."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deuteron.agent import names
from deuteron.plan.units import Dhcp, DhcpSubnet, Lease

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_METADATA = "169.254.169.254/32"
_NONE = {"0.0.0.0", "::"}
"""Name servers that mean: announce none."""


class Unfit(Exception):
    """A text of the plan cannot stand in a configuration file."""


@dataclass(frozen=True)
class Files:
    """What a DHCP server reads."""

    config: str
    """A change of this one needs a restart; of the others, a SIGHUP."""
    hosts: str
    options: str
    names: str
    refused: dict[str, str]
    """Leases that are left out: unit key -> why."""


def files(dhcp: Dhcp, leases: Iterable[Lease], directory: Path, lease_seconds: int) -> Files:
    """Return the files of a network's DHCP server, which are kept in `directory`. Raises Unfit."""
    subnets = [_Subnet(subnet, dhcp) for subnet in sorted(dhcp.subnets, key=lambda subnet: subnet.id)]
    domain = _name(dhcp.dns_domain.rstrip("."), "DNS domain") if dhcp.dns_domain.rstrip(".") else ""
    hosts: list[str] = []
    addresses: list[str] = []
    refused = {}
    for lease in sorted(leases, key=lambda lease: lease.id):
        try:
            lines = _lease(lease, {subnet.id: subnet for subnet in subnets}, domain)
        except Unfit as error:
            refused[lease.key] = str(error)
            continue
        hosts += lines[0]
        addresses += lines[1]
    options = [line for subnet in subnets for line in subnet.options(subnets, domain)]
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
        self.id = _checked(_ID, subnet.id, "subnet id")
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
        self.metadata = dhcp.metadata
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
        routes = [f"{destination},{hop}" for destination, hop in self.routes]
        routes += [f"{other.net},0.0.0.0" for other in others if other.net.version == 4 and other is not self]
        if self.metadata and self.own:
            routes.append(f"{_METADATA},{self.own}")
        if routes:
            # A client that takes these ignores the router option, so that they hold the default route too.
            if self.gateway and not any(destination.prefixlen == 0 for destination, _ in self.routes):
                routes.append(f"0.0.0.0/0,{self.gateway}")
            lines.append(f"{tag}classless-static-route,{','.join(routes)}")
            lines.append(f"tag:subnet-{self.id},249,{','.join(routes)}")
        return lines

    def _options6(self, domain: str) -> list[str]:
        tag = f"tag:subnet-{self.id},option6:"
        servers = [str(server) for server in self.servers] or ([str(self.own)] if self.own else [])
        found = [f"[{server}]" for server in servers if server not in _NONE]
        lines = [f"{tag}dns-server,{','.join(found)}"] if found else []
        return [*lines, f"{tag}domain-search,{domain}"] if domain else lines


def _config(dhcp: Dhcp, subnets: list[_Subnet], domain: str, directory: Path, lease_seconds: int) -> str:
    lines = [
        "no-hosts",
        "no-resolv",
        "no-ping",
        "bind-dynamic",
        f"interface={names.dhcp_device(_checked(_ID, dhcp.port, 'port id'))}",
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
    mac = _checked(_MAC, lease.mac, "MAC address")
    host = _name(lease.hostname, "host name")
    short = host.partition(".")[0]
    given: dict[int, list[str]] = {4: [], 6: []}
    served = False
    addresses = []
    for subnet_id, text in lease.addresses:
        subnet = subnets.get(subnet_id)
        if subnet is None:
            continue
        try:
            address = ipaddress.ip_address(text)
        except ValueError as error:
            raise Unfit(str(error)) from None
        addresses.append(f"{address} {short}.{domain} {short}" if domain else f"{address} {short}")
        served = served or subnet.serves
        if subnet.assigns:
            given[address.version].append(str(address) if address.version == 4 else f"[{address}]")
    # One line holds one IPv4 address and any number of IPv6 addresses.
    first, *others = [[address] for address in given[4]] or [[]]
    lines = [[mac, short, *first, *given[6]], *([mac, short, *other] for other in others)]
    # Who gets no address here may still ask for the rest, and must be known for that.
    return ([",".join(line) for line in lines] if served else []), addresses


def _name(text: str, what: str) -> str:
    if len(text) > 253:
        raise Unfit(f"{what} {text[:60]!r}...: longer than 253 characters")
    return _checked(_NAME, text, what)


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise Unfit(f"{what} {text[:80]!r} cannot be served: it has characters that do not belong there")
    return text


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
        mac, _, *addresses = line.split(",")
        owners.update({address.strip("[]"): mac for address in addresses})
    return owners
