"""Service providers: the kinds of routers that the server makes, under Neutron's names for them."""

from collections.abc import Mapping

from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.types import BOOLEAN, line

KINDS: Mapping[str, Mapping[str, bool]] = {
    "dvrha": {"distributed": True, "ha": True},
    "dvr": {"distributed": True, "ha": False},
    "ha": {"distributed": False, "ha": True},
    "single_node": {"distributed": False, "ha": False},
}
"""What a router of each kind is."""
DRIVERS: Mapping[str, str] = {
    f"neutron.services.l3_router.service_providers.{driver}": kind
    for kind, driver in (
        ("dvrha", "dvrha.DvrHaDriver"),
        ("dvr", "dvr.DvrDriver"),
        ("ha", "ha.HaDriver"),
        ("single_node", "single_node.SingleNodeDriver"),
    )
}
"""The kinds by the drivers that profiles of flavours name: names of Neutron, and nothing but names here."""


def listing(call: Call) -> list[Item]:  # noqa: ARG001
    """Return the providers; none is the default one."""
    return [{"id": kind, "service_type": "L3_ROUTER_NAT", "name": kind, "default": False} for kind in KINDS]


resource = Resource(
    name="service_provider",
    collection="service_providers",
    path="service-providers",
    rows=listing,
    creatable=False,
    updatable=False,
    deletable=False,
    attributes={
        "id": Attr(type=line(), default=UNSET, stored=False, visible=False),
        "service_type": Attr(type=line(), default=UNSET, stored=False),
        "name": Attr(type=line(), default=UNSET, stored=False),
        "default": Attr(type=BOOLEAN, default=UNSET, stored=False),
    },
)

DECLARES = (
    resource,
    Alias(
        alias="service-type",
        name="Neutron Service Type Management",
        description="The kinds of routers that there are",
    ),
)
