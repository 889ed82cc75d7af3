"""Networks: what is one to those who use it, on one segment or several."""

from collections.abc import Iterable, Sequence

from deuteron.resources import rows, segment, segmentation
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import InvalidInput
from deuteron.resources.l2_errors import (
    NetworkNotFound,
    NoNetworkAvailable,
    SegmentsSetInConjunctionWithProviders,
)
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.segmentation import Segment
from deuteron.resources.types import BOOLEAN, DNS_DOMAIN, STRINGS, integer, line, list_of

IPV4_MIN_MTU = 68
IPV6_MIN_MTU = 1280

TYPE, PHYSICAL, SEGMENT = (
    "provider:network_type",
    "provider:physical_network",
    "provider:segmentation_id",
)
EXTERNAL = "router:external"


def create(call: Call, values: Item) -> Item:
    """Create a network with its segments; without a word about them it gets one of the usual type."""
    wanted = _wanted(values)
    if wanted:
        for one in wanted:
            segment.check(call, one)
        segmentation.refuse_duplicates(wanted)
        proposed = [_complete(call, one, values["project_id"]) for one in wanted]
    else:
        proposed = [segment.any_of(call, call.settings.project_network_types, values["project_id"])]
        wanted = [Segment(one.type, one.physical_network) for one in proposed]
    values = {**values, "mtu": _mtu(call, [one.type for one in proposed], values["mtu"])}
    row = rows.create(call, resource, {**values, **segmentation.to_item(_only(proposed))})
    added = [
        segment.of_row(segment.add(call, row, one, complete, place))
        for place, (one, complete) in enumerate(zip(wanted, proposed, strict=True))
    ]
    if added != proposed:
        row = {**row, **segmentation.to_item(_only(added))}
        rows.replace(call, resource, row)
    return row


def _wanted(values: Item) -> list[Segment]:
    """Return the segments that a request says; none if it leaves that to us. Raises InvalidInput."""
    listed = values.get("segments", UNSET)
    said = any(values[name] for name in (TYPE, PHYSICAL, SEGMENT))
    if listed is UNSET or not listed:
        return [segmentation.of_item(values)] if said else []
    if said:
        raise SegmentsSetInConjunctionWithProviders
    return [segmentation.of_item(item) for item in listed]


def _complete(call: Call, one: Segment, project_id: str) -> Segment:
    found = segment.complete(call, one, project_id)
    if found is None:
        raise NoNetworkAvailable
    return found


def _only(segments: Sequence[Segment]) -> Segment | None:
    return segments[0] if len(segments) == 1 else None


def _mtu(call: Call, types: Iterable[str], wanted: int) -> int:
    """Return the MTU that is wanted, or the largest that segments of these types carry if it is 0."""
    most = min(
        (segmentation.max_mtu(call.settings, one) for one in types), default=call.settings.global_physnet_mtu
    )
    if wanted > most:
        raise InvalidInput(error_message=f"Requested MTU is too big, maximum is {most}")
    return wanted or most


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a network; what its ports say to it, their modules check."""
    if "mtu" in changes:
        types = [one["network_type"] for one in segment.of_network(call, row["id"])]
        changes = {**changes, "mtu": _mtu(call, types, changes["mtu"])}
    return rows.change(call, resource, row, changes)


def delete(call: Call, row: Item) -> None:
    """Delete a network that nothing uses any more."""
    segments = segment.of_network(call, row["id"])
    rows.remove(call, resource, row["id"])
    for one in segments:
        segment.freed(call, segment.of_row(one))


def present(call: Call, items: list[Item]) -> None:
    """Fill in the segments of networks that have several; what they are on the wires is said there only."""
    found: dict[str, list[Item]] = {item["id"]: [] for item in items if not item[TYPE]}
    table = segment.resource.table
    for part in rows.chunks(found):
        for one in rows.where(call, segment.resource, table.c.network_id.in_(part)):
            found[one["network_id"]].append(one)
    for item in items:
        several = sorted(found.get(item["id"], ()), key=lambda one: int(one["segment_index"]))
        if several:
            item["segments"] = [segmentation.to_item(segment.of_row(one)) for one in several]
            for name in (TYPE, PHYSICAL, SEGMENT):
                item.pop(name, None)
        else:
            item.pop("segments", None)
            item[TYPE] = item[TYPE] or None


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
        # Those of its only segment, or none.
        TYPE: Attr(type=segmentation.NETWORK_TYPE, default="", post=True),
        PHYSICAL: Attr(type=segmentation.PHYSICAL_NETWORK, default=None, post=True, nullable=True),
        SEGMENT: Attr(type=segmentation.NUMBER, default=None, post=True, nullable=True),
        "segments": Attr(
            type=list_of(segmentation.item, unique=False),
            default=UNSET,
            post=True,
            stored=False,
            filter=False,
            sort=False,
        ),
    },
    create=create,
    update=update,
    delete=delete,
    present=present,
)

DECLARES = (
    resource,
    Alias(alias="network", name="Neutron L2 Network", description="Layer 2 network abstraction"),
    Alias(alias="provider", name="Provider Network", description="Where a network is on the wires"),
    Alias(alias="multi-provider", name="Multi Provider Network", description="Several segments"),
    Alias(alias="external-net", name="Neutron external network", description="router:external"),
    Alias(alias="net-mtu", name="Network MTU", description="A network's MTU"),
    Alias(alias="net-mtu-writable", name="Network MTU (writable)", description="It can be set"),
    Alias(
        alias="network_availability_zone",
        name="Network Availability Zone",
        description="Zones in which a network's DHCP servers should be",
    ),
)
