"""Ports: where a device is attached to a network, with its MAC address and fixed IPs."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, UniqueConstraint, and_, delete, or_, select

from deuteron.resources import (
    addresses,
    dhcp_options,
    fixed_ips,
    ipam,
    network,
    nova_queue,
    owners,
    port_security,
    rows,
    service_types,
    subnet,
    subnet_segment,
)
from deuteron.resources.address_types import ADDRESS_PAIRS, FIXED_IPS, IP, MAC_OR_ANY
from deuteron.resources.addresses import parse_network
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.l2_errors import (
    MacAddressInUse,
    NetworkInUse,
    NetworkMacAddressGenerationFailure,
    PortBound,
    PortNotFound,
    SubnetInUse,
)
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import (
    BOOLEAN,
    DERIVED,
    DICTIONARY,
    DNS_DOMAIN,
    DNS_NAME,
    UUID,
    UUIDS,
    empty_if_null,
    line,
    one_of,
)

_MAC_TRIES = 16
HOST = "binding:host_id"
ALLOCATIONS = (fixed_ips.IMMEDIATE, fixed_ips.DEFERRED, fixed_ips.NONE)
VNIC_TYPE = "binding:vnic_type"
VNIC_TYPES = (
    "normal",
    "direct",
    "macvtap",
    "baremetal",
    "direct-physical",
    "virtio-forwarder",
    "smart-nic",
    "vdpa",
    "accelerator-direct",
    "accelerator-direct-physical",
    "remote-managed",
)


def create(call: Call, values: Item) -> Item:
    """Create a port: its MAC address is made unless it is given, its addresses chosen."""
    network_id = values["network_id"]
    home = call.tx.once("network", network_id, lambda: rows.get(call, network.resource, network_id))
    wanted = values.pop("fixed_ips")
    security, groups = port_security.of_new(call, values, home["port_security_enabled"])
    values["port_security_enabled"] = security
    if not home["provider:network_type"]:
        subnet_segment.refuse_routers(home, values["device_owner"], subnet.of_network(call, network_id))
    values["ip_allocation"] = fixed_ips.allocation(call, values, wanted)
    values.update(vif(call, values[HOST], values[VNIC_TYPE]))
    values["extra_dhcp_opts"] = dhcp_options.merged((), values["extra_dhcp_opts"])
    row = _insert(call, values)
    row["fixed_ips"] = fixed_ips.assign(call, row, wanted)
    port_security.store(call, row["id"], groups, new=True)
    row["security_groups"] = sorted(groups)
    return row


def add(call: Call, values: Mapping[str, Any]) -> Item:
    """Create a port for another module: with defaults for what is not given."""
    defaults = {name: attr.default for name, attr in resource.attributes.items()}
    standard = ("id", "created_at", "updated_at", "revision_number", "project_id")
    complete = {name: value for name, value in defaults.items() if name not in standard}
    return create(call, {**complete, **values})


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a port."""
    groups = port_security.after(call, row, changes)
    wanted = changes.pop("fixed_ips", None)
    mac = _new_mac(call, row, changes)
    if HOST in changes and changes[HOST] != row[HOST]:
        nova_queue.host_changed(call, row)
        changes["status"] = "DOWN"
    if {HOST, VNIC_TYPE} & changes.keys():
        after = {**row, **changes}
        changes.update(vif(call, after[HOST], after[VNIC_TYPE]))
    if "extra_dhcp_opts" in changes:
        changes["extra_dhcp_opts"] = dhcp_options.merged(row["extra_dhcp_opts"], changes["extra_dhcp_opts"])
    new = rows.change(call, resource, row, changes)
    if groups is not None:
        port_security.store(call, row["id"], groups)
    if wanted is None and new[HOST] and new[HOST] != row[HOST]:
        present = ipam.of_ports(call.tx, [row["id"]])[row["id"]]
        new["fixed_ips"] = fixed_ips.follow_host(call, new, present, not row[HOST])
    if wanted is not None or mac != row["mac_address"]:
        present = ipam.of_ports(call.tx, [row["id"]])[row["id"]]
        keep = [fixed for fixed in present if not _is_automatic(call, row, fixed)]
        new["fixed_ips"] = fixed_ips.reassign(call, new, present, keep if wanted is None else wanted)
    return new


def remove(call: Call, row: Mapping[str, Any]) -> None:
    """Delete a port with its addresses, whoever it belongs to."""
    rows.remove(call, resource, row["id"])


def of_device(call: Call, device_id: str, device_owners: Sequence[str]) -> list[Item]:
    """Return a device's ports that have one of these owners, with their fixed IPs, oldest first."""
    table = resource.table
    found = rows.where(
        call, resource, table.c.device_id == device_id, table.c.device_owner.in_(device_owners)
    )
    found.sort(key=lambda item: (item["created_at"], item["id"]))
    present(call, found)
    return found


def get(call: Call, id_: str, lock: bool = False) -> Item:
    """Return a port with its fixed IPs. Raises PortNotFound."""
    row = rows.get(call, resource, id_, lock)
    present(call, [row])
    return row


def present(call: Call, items: list[Item]) -> None:
    """Fill in the fixed IPs, the security groups and the names in DNS."""
    missing = [item["id"] for item in items if "fixed_ips" not in item]
    found: dict[str, list[dict[str, str]]] = {}
    for part in rows.chunks(missing):
        found.update(ipam.of_ports(call.tx, part))
    groups: dict[str, list[str]] = {}
    for part in rows.chunks(item["id"] for item in items if "security_groups" not in item):
        groups.update(port_security.of_ports(call, part))
    for item in items:
        if "fixed_ips" not in item:
            item["fixed_ips"] = found[item["id"]]
        if "security_groups" not in item:
            item["security_groups"] = groups.get(item["id"], [])
        item["dns_assignment"] = _dns_assignment(call, item)


def _insert(call: Call, values: Item) -> Item:
    given = values["mac_address"]
    if given is not UNSET:
        row = rows.insert(call, resource, values)
        if row is None:
            raise MacAddressInUse(net_id=values["network_id"], mac=given)
        return row
    for _ in range(_MAC_TRIES):
        row = rows.insert(call, resource, {**values, "mac_address": _any_mac(call)})
        if row is not None:
            return row
    raise NetworkMacAddressGenerationFailure(net_id=values["network_id"])


def _any_mac(call: Call) -> str:
    return call.settings.base_mac[:8] + "".join(f":{byte:02x}" for byte in secrets.token_bytes(3))


def _new_mac(call: Call, row: Item, changes: Item) -> str:
    """Return the MAC address after a change, and put one into the changes where any is asked for."""
    if changes.get("mac_address") is UNSET:
        made = (_any_mac(call) for _ in range(_MAC_TRIES))
        changes["mac_address"] = next((mac for mac in made if not _is_used(call, row, mac)), UNSET)
        if changes["mac_address"] is UNSET:
            raise NetworkMacAddressGenerationFailure(net_id=row["network_id"])
    mac: str = {**row, **changes}["mac_address"]
    if mac != row["mac_address"] and row[HOST]:
        raise PortBound(
            port_id=row["id"], vif_type=row["binding:vif_type"], old_mac=row["mac_address"], new_mac=mac
        )
    if mac != row["mac_address"] and _is_used(call, row, mac):
        raise MacAddressInUse(net_id=row["network_id"], mac=mac)
    return mac


def _is_used(call: Call, row: Item, mac: str) -> bool:
    table = resource.table
    statement = select(table.c.id).where(table.c.network_id == row["network_id"], table.c.mac_address == mac)
    return call.tx.execute(statement).first() is not None


def _is_automatic(call: Call, row: Item, fixed: Mapping[str, str]) -> bool:
    home = rows.get(call, subnet.resource, fixed["subnet_id"])
    if not subnet.is_auto_address(home):
        return False
    return addresses.eui64(parse_network(home["cidr"]), row["mac_address"]) == fixed["ip_address"]


def vif(call: Call, host: str, vnic_type: str) -> Item:
    """Return what binding a port to a host says to who plugs it: only virtual devices can be plugged."""
    if not host or vnic_type != "normal":
        return {"binding:vif_type": "binding_failed" if host else "unbound", "binding:vif_details": {}}
    details = {"port_filter": True, "connectivity": "l2"}
    return {"binding:vif_type": call.settings.vif_type, "binding:vif_details": details}


def _dns_assignment(call: Call, item: Item) -> list[dict[str, str]]:
    domain = call.settings.dns_domain.rstrip(".") + "."
    assigned = []
    for fixed in item["fixed_ips"]:
        address = fixed["ip_address"]
        name = item["dns_name"] or "host-" + address.replace(".", "-").replace(":", "-")
        fqdn = name if name.endswith(".") else f"{name}.{domain}"
        assigned.append({"ip_address": address, "hostname": name.rstrip("."), "fqdn": fqdn})
    return assigned


def _filter_fixed_ips(call: Call, texts: list[str]) -> ColumnElement[bool]:  # noqa: ARG001
    """`fixed_ips=subnet_id=ID`, `fixed_ips=ip_address=ADDRESS`: all given keys, any of their values."""
    wanted: dict[str, list[str]] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if key not in ("subnet_id", "ip_address", "ip_address_substr"):
            raise HTTPBadRequest(msg=f"Invalid filter fixed_ips={key[:40]}; use subnet_id= or ip_address=")
        wanted.setdefault(key, []).append(value)
    conditions = []
    for key, values in wanted.items():
        if key == "ip_address_substr":
            parts = [one.lower() for one in values]
            conditions.append(or_(*(fixed_ip.c.ip_address.contains(one, autoescape=True) for one in parts)))
        else:
            told = [IP.from_query(one) for one in values] if key == "ip_address" else values
            conditions.append(fixed_ip.c[key].in_(told))
    return resource.table.c.id.in_(select(fixed_ip.c.port_id).where(and_(*conditions)))


def _deleting_network(call: Call, row: Item) -> None:
    """A network goes with its subnets and the ports that are only there for it; others keep it."""
    table = resource.table
    ports = call.tx.execute(
        select(table.c.id, table.c.device_owner).where(table.c.network_id == row["id"])
    ).all()
    used = [port.id for port in ports if port.device_owner not in owners.AUTO_DELETED]
    if used:
        listed = ",".join(used[:20])
        raise NetworkInUse(
            net_id=row["id"],
            reason="There are one or more ports still in use on the network, "
            f"id for these ports is: {listed}",
        )
    for port in ports:
        rows.remove(call, resource, port.id)
    for one in subnet.of_network(call, row["id"]):
        rows.remove(call, subnet.resource, one["id"])


def _deleting_subnet(call: Call, row: Item) -> None:
    """A subnet goes with the addresses of ports that do without it; others keep it."""
    table = resource.table
    users = call.tx.execute(
        select(table.c.id, table.c.device_owner)
        .join(fixed_ip, fixed_ip.c.port_id == table.c.id)
        .where(fixed_ip.c.subnet_id == row["id"])
    ).all()
    automatic = subnet.is_auto_address(row)
    for user in users:
        router = user.device_owner in owners.ROUTER_INSIDE
        if router or (not automatic and user.device_owner not in owners.AUTO_DELETED):
            raise SubnetInUse(subnet_id=row["id"])
    call.tx.execute(delete(fixed_ip).where(fixed_ip.c.subnet_id == row["id"]))
    for user in users:
        call.tx.changed(resource.name, user.id, "update")


def _created_subnet(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    """Hosts on the network give themselves an address of a new SLAAC subnet: so do their ports."""
    if not subnet.is_auto_address(row):
        return
    for port in rows.where(call, resource, resource.table.c.network_id == row["network_id"]):
        if port["device_owner"] in owners.ROUTER_INSIDE:
            continue
        if not service_types.serves(row, port["device_owner"]) or not subnet_segment.is_near(call, port, row):
            continue
        present_ips = ipam.of_ports(call.tx, [port["id"]])[port["id"]]
        fixed_ips.reassign(call, port, present_ips, present_ips)
        rows.change(call, resource, port, {})


resource = Resource(
    name="port",
    collection="ports",
    not_found=PortNotFound,
    attributes={
        "network_id": Attr(type=UUID, post=True, references="network.id"),
        "admin_state_up": Attr(type=BOOLEAN, default=True, post=True, put=True),
        "status": Attr(type=line(16), default="DOWN"),
        "mac_address": Attr(type=MAC_OR_ANY, default=UNSET, post=True, put=True),
        "fixed_ips": Attr(
            type=FIXED_IPS, default=UNSET, post=True, put=True, stored=False, filter=False, sort=False
        ),
        "device_id": Attr(type=line(), default="", post=True, put=True, index=True),
        "device_owner": Attr(type=line(), default="", post=True, put=True),
        HOST: Attr(type=empty_if_null(line(), ""), default="", post=True, put=True, index=True),
        VNIC_TYPE: Attr(type=one_of(*VNIC_TYPES), default="normal", post=True, put=True),
        "binding:profile": Attr(
            type=empty_if_null(DICTIONARY, {}),
            default={},
            post=True,
            put=True,
            filter=False,
            sort=False,
        ),
        "binding:vif_type": Attr(type=line(64), default="unbound"),
        "binding:vif_details": Attr(type=DICTIONARY, default={}, filter=False, sort=False),
        "port_security_enabled": Attr(type=BOOLEAN, default=UNSET, post=True, put=True),
        "security_groups": Attr(
            type=UUIDS, default=UNSET, post=True, put=True, stored=False, filter=False, sort=False
        ),
        "allowed_address_pairs": Attr(
            type=ADDRESS_PAIRS, default=[], post=True, put=True, filter=False, sort=False
        ),
        "extra_dhcp_opts": Attr(
            type=dhcp_options.OPTIONS,
            default=[],
            post=True,
            put=True,
            filter=False,
            sort=False,
        ),
        "ip_allocation": Attr(type=one_of(*ALLOCATIONS), default=ALLOCATIONS[0]),
        "dns_name": Attr(type=DNS_NAME, default="", post=True, put=True),
        "dns_domain": Attr(type=DNS_DOMAIN, default="", post=True, put=True),
        "dns_assignment": Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False),
    },
    constraints=[UniqueConstraint("network_id", "mac_address")],
    filters={"fixed_ips": _filter_fixed_ips, "security_groups": port_security.with_groups},
    create=create,
    update=update,
    delete=remove,
    present=present,
)

DECLARES = (
    resource,
    Extension(
        resource="network",
        name="ports",
        deleting=_deleting_network,
    ),
    Extension(
        resource="subnet",
        name="ports",
        created=_created_subnet,
        deleting=_deleting_subnet,
    ),
    Alias(alias="port", name="Neutron Port", description="Network port abstraction"),
    Alias(alias="binding", name="Port Binding", description="On which host a port is"),
    Alias(
        alias="ip_allocation",
        name="IP Allocation",
        description="When a port gets its addresses: at once, with its host, or never",
    ),
    Alias(alias="port-security", name="Port Security", description="port_security_enabled"),
    Alias(
        alias="allowed-address-pairs",
        name="Allowed Address Pairs",
        description="Further addresses that a port may have",
    ),
    Alias(
        alias="aap-reject-multicast",
        name="Allowed address pairs reject multicast extension",
        description="None of them is a multicast address",
    ),
    Alias(
        alias="extra_dhcp_opt",
        name="Neutron Extra DHCP options",
        description="Further DHCP options of a port",
    ),
    Alias(
        alias="port-security-groups-filtering",
        name="Port filtering on security groups",
        description="Ports that have a security group",
    ),
    Alias(alias="dns-integration", name="DNS Integration", description="Names of ports"),
    Alias(
        alias="port-mac-address-regenerate",
        name="Port MAC address regenerate",
        description="A MAC address of null is a new one",
    ),
    Alias(alias="dns-domain-ports", name="dns_domain for ports", description="Domains of ports"),
    Alias(
        alias="dns-integration-domain-keywords",
        name="DNS domain names with keywords allowed",
        description="<project_id>, <project_name>, <user_id> and <user_name> as labels of domains",
    ),
    Alias(
        alias="ip-substring-filtering",
        name="IP address substring filtering",
        description="Ports by a part of an address",
    ),
)
