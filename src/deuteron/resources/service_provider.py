"""Service providers: the kinds of routers that the server makes, under Neutron's names for them."""

from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.types import BOOLEAN, line

KINDS = ("dvrha", "dvr", "ha", "single_node")
"""Distributed and redundant, distributed, redundant, neither. Which one a router is, its attributes say."""


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
