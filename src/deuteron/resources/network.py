"""Networks: a layer 2 segment, of type vxlan (an overlay) or flat (a physical network)."""

from sqlalchemy import text

from deuteron.resources import numbers, rows
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import InvalidInput
from deuteron.resources.l2_errors import FlatNetworkInUse, NetworkNotFound, NoNetworkAvailable, TunnelIdInUse
from deuteron.resources.resource import Alias, Item, Resource, index
from deuteron.resources.types import BOOLEAN, DNS_DOMAIN, STRINGS, integer, line, one_of

VXLAN_OVERHEAD = 50
"""Bytes: the outer IPv4, UDP and VXLAN headers and the inner Ethernet one."""
IPV4_MIN_MTU = 68
IPV6_MIN_MTU = 1280
MAX_VNI = 2**24 - 1

TYPE, PHYSICAL, SEGMENT = (
    "provider:network_type",
    "provider:physical_network",
    "provider:segmentation_id",
)
EXTERNAL = "router:external"


def create(call: Call, values: Item) -> Item:
    """Create a network; a VXLAN one gets the lowest free VNI unless it names one."""
    values = {**values, TYPE: values[TYPE] or call.settings.network_type}
    values["mtu"] = _mtu(call, values[TYPE], values["mtu"])
    return _create_flat(call, values) if values[TYPE] == "flat" else _create_vxlan(call, values)


def _mtu(call: Call, network_type: str, wanted: int) -> int:
    """Return the MTU that is wanted, or the largest if it is 0."""
    most = call.settings.global_physnet_mtu - (VXLAN_OVERHEAD if network_type == "vxlan" else 0)
    if wanted > most:
        raise InvalidInput(error_message=f"Requested MTU is too big, maximum is {most}")
    return wanted or most


def _create_flat(call: Call, values: Item) -> Item:
    name, allowed = values[PHYSICAL], call.settings.flat_networks
    if not name:
        raise InvalidInput(error_message="physical_network required for flat provider network")
    if "*" not in allowed and name not in allowed:
        raise InvalidInput(error_message=f"physical_network '{name}' unknown for flat provider network")
    if values[SEGMENT] is not None:
        raise InvalidInput(error_message="segmentation_id prohibited for flat provider network")
    row = rows.insert(call, resource, values)
    if row is None:
        raise FlatNetworkInUse(physical_network=name)
    return row


def _create_vxlan(call: Call, values: Item) -> Item:
    if values[PHYSICAL]:
        raise InvalidInput(error_message="physical_network prohibited for vxlan provider network")
    values[PHYSICAL] = None
    if values[SEGMENT] is not None:
        row = rows.insert(call, resource, values)
        if row is None:
            raise TunnelIdInUse(tunnel_id=values[SEGMENT])
        return row
    ranges = numbers.parse_ranges(call.settings.vni_ranges)
    column = resource.table.c.provider_segmentation_id
    while (vni := numbers.lowest_free(call.tx, column, ranges)) is not None:
        row = rows.insert(call, resource, {**values, SEGMENT: vni})
        if row is not None:
            return row
    raise NoNetworkAvailable


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a network; what its ports say to it, their modules check."""
    if "mtu" in changes:
        changes = {**changes, "mtu": _mtu(call, row[TYPE], changes["mtu"])}
    return rows.change(call, resource, row, changes)


def delete(call: Call, row: Item) -> None:
    """Delete a network that nothing uses any more."""
    rows.remove(call, resource, row["id"])
    numbers.freed(call.tx, resource.table.c.provider_segmentation_id, row[SEGMENT])


resource = Resource(
    name="network",
    collection="networks",
    not_found=NetworkNotFound,
    attributes={
        "admin_state_up": Attr(type=BOOLEAN, default=True, post=True, put=True),
        "status": Attr(type=line(16), default="ACTIVE"),
        EXTERNAL: Attr(type=BOOLEAN, default=False, post=True, put=True),
        "is_default": Attr(type=BOOLEAN, default=False, post=True, put=True),
        "mtu": Attr(type=integer(0, 65535), default=0, post=True, put=True),
        "port_security_enabled": Attr(type=BOOLEAN, default=True, post=True, put=True),
        "dns_domain": Attr(type=DNS_DOMAIN, default="", post=True, put=True),
        "availability_zone_hints": Attr(type=STRINGS, default=[], post=True, filter=False, sort=False),
        TYPE: Attr(type=one_of("flat", "vxlan"), default="", post=True),
        PHYSICAL: Attr(type=line(64), default=None, post=True, nullable=True),
        SEGMENT: Attr(type=integer(1, MAX_VNI), default=None, post=True, nullable=True),
    },
    constraints=[
        index(
            "provider_segmentation_id",
            unique=True,
            where=text("provider_network_type = 'vxlan'"),
            name="uq_network_vni",
        ),
        index(
            "provider_physical_network",
            unique=True,
            where=text("provider_network_type = 'flat'"),
            name="uq_network_flat",
        ),
    ],
    create=create,
    update=update,
    delete=delete,
)

DECLARES = (
    resource,
    Alias(alias="network", name="Neutron L2 Network", description="Layer 2 network abstraction"),
    Alias(alias="provider", name="Provider Network", description="Where a network is on the wires"),
    Alias(alias="external-net", name="Neutron external network", description="router:external"),
    Alias(alias="net-mtu", name="Network MTU", description="A network's MTU"),
    Alias(alias="net-mtu-writable", name="Network MTU (writable)", description="It can be set"),
    Alias(
        alias="network_availability_zone",
        name="Network Availability Zone",
        description="Zones in which a network's DHCP servers should be",
    ),
)
