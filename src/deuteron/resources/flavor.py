"""Flavours: a choice that an administrator offers to users, and the profiles of a service that it means.

A profile's driver says what kind of router is meant: one of Neutron's own four, by their names there.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, ForeignKey, String, Table, delete, insert, select

from deuteron.resources import rows
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import (
    Conflict,
    HTTPBadRequest,
    InUse,
    InvalidInput,
    NotFound,
    ServiceUnavailable,
)
from deuteron.resources.resource import Alias, Child, Extension, Item, Resource
from deuteron.resources.service_provider import DRIVERS
from deuteron.resources.types import BOOLEAN, DERIVED, UUID, integer, is_uuid, line, one_of, shown, text
from deuteron.store import ID_LENGTH, metadata

SERVICE_TYPES = ("L3_ROUTER_NAT", "CORE", "FLAVORS", "METERING", "QOS", "TRUNK", "PORTFORWARDING", "NDPPROXY")
"""Of what flavours can be; only routers ask for theirs."""
_LONG = 1024
_METADATA = 4096


class FlavorNotFound(NotFound):
    """`id`."""

    message = "Flavor {id} could not be found."


class FlavorInUse(InUse):
    """`id`."""

    message = "Flavor {id} is used by some service instance."


class FlavorDisabled(ServiceUnavailable):
    """An administrator does not offer it now."""

    message = "Flavor is not enabled."


class ServiceProfileNotFound(NotFound):
    """`id`."""

    message = "Service Profile {id} could not be found."


class ServiceProfileDisabled(ServiceUnavailable):
    """An administrator does not offer it now."""

    message = "Service Profile is not enabled."


class ServiceProfileInUse(InUse):
    """`sp_id`."""

    message = "Service Profile {sp_id} is used by some service instance."


class ServiceProfileDriverNotFound(NotFound):
    """`driver`."""

    message = "Service Profile driver {driver} could not be found."


class ServiceProfileEmpty(InvalidInput):
    """Neither a driver nor anything else."""

    message = "Service Profile needs either a driver or metainfo."


class FlavorServiceProfileBindingExists(Conflict):
    """`sp_id`, `fl_id`."""

    message = "Service Profile {sp_id} is already associated with flavor {fl_id}."


class FlavorServiceProfileBindingNotFound(NotFound):
    """`sp_id`, `fl_id`."""

    message = "Service Profile {sp_id} is not associated with flavor {fl_id}."


_pairs = Table(
    "flavor_service_profile",
    metadata,
    Column("flavor_id", String(ID_LENGTH), ForeignKey("flavor.id", ondelete="CASCADE"), primary_key=True),
    Column("service_profile_id", String(ID_LENGTH), ForeignKey("service_profile.id"), primary_key=True),
)


def _delete_flavor(call: Call, row: Item) -> None:
    """Delete a flavour that no router has."""
    routers = metadata.tables["router_flavor"]
    used = select(routers.c.id).where(routers.c.flavor_id == row["id"]).limit(1)
    if call.tx.execute(used).first() is not None:
        raise FlavorInUse(id=row["id"])
    rows.remove(call, flavors, row["id"])


def _created_router(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    """A router's flavour is there, and offered. Its row is locked, as it is when it is deleted."""
    wanted = values["flavor_id"]
    if wanted is not None and not rows.get(call, flavors, wanted, lock=True)["enabled"]:
        raise FlavorDisabled


def _create_profile(call: Call, values: Item) -> Item:
    _check_driver(values)
    if not values["metainfo"] and not values["driver"]:
        raise ServiceProfileEmpty
    return rows.create(call, profiles, values)


def _update_profile(call: Call, row: Item, changes: Item) -> Item:
    _check_driver(changes)
    _refuse_used(call, row["id"])
    return rows.change(call, profiles, row, changes)


def _delete_profile(call: Call, row: Item) -> None:
    _refuse_used(call, row["id"])
    rows.remove(call, profiles, row["id"])


def _check_driver(values: Mapping[str, Any]) -> None:
    if values.get("driver") and values["driver"] not in DRIVERS:
        raise ServiceProfileDriverNotFound(driver=shown(values["driver"]))


def kind_of(call: Call, id_: str | None) -> str | None:
    """Return the kind of routers of a flavour, that of its first profile with a driver; None for any.

    Raises FlavorNotFound and ServiceProfileDisabled.
    """
    if id_ is None:
        return None
    rows.get(call, flavors, id_)
    found = drivers_of(call, id_)
    if not found:
        return None
    enabled = [driver for driver, enabled in found if enabled]
    if not enabled:
        raise ServiceProfileDisabled
    return DRIVERS[enabled[0]]


def drivers_of(call: Call, id_: str) -> list[tuple[str, bool]]:
    """Return the drivers of a flavour's profiles, in the order of their IDs, and whether they are offered."""
    mine = select(_pairs.c.service_profile_id).where(_pairs.c.flavor_id == id_)
    table = profiles.table
    found = rows.where(call, profiles, table.c.id.in_(mine), table.c.driver != "")
    return [(one["driver"], bool(one["enabled"])) for one in sorted(found, key=lambda one: str(one["id"]))]


def _refuse_used(call: Call, id_: str) -> None:
    used = select(_pairs.c.flavor_id).where(_pairs.c.service_profile_id == id_).limit(1)
    if call.tx.execute(used).first() is not None:
        raise ServiceProfileInUse(sp_id=id_)


def _profiles_of(call: Call, id_: str) -> list[Item]:
    rows.get(call, flavors, id_)
    mine = select(_pairs.c.service_profile_id).where(_pairs.c.flavor_id == id_)
    return [{"id": one} for one in call.tx.execute(mine.order_by(_pairs.c.service_profile_id)).scalars()]


def _add_profile(call: Call, id_: str, body: Any) -> Item:
    inner = body.get("service_profile") if isinstance(body, Mapping) else None
    profile_id = inner.get("id") if isinstance(inner, Mapping) else None
    if not is_uuid(profile_id):
        raise HTTPBadRequest(msg=f"Expected a service_profile with an id, not '{shown(body)}'")
    rows.get(call, flavors, id_, lock=True)
    rows.get(call, profiles, str(profile_id), lock=True)
    if {"id": profile_id} in _profiles_of(call, id_):
        raise FlavorServiceProfileBindingExists(sp_id=profile_id, fl_id=id_)
    call.tx.execute(insert(_pairs), {"flavor_id": id_, "service_profile_id": profile_id})
    return {"service_profile": {"id": profile_id}}


def _remove_profile(call: Call, id_: str, profile_id: str) -> None:
    mine = delete(_pairs).where(_pairs.c.flavor_id == id_, _pairs.c.service_profile_id == profile_id)
    if call.tx.execute(mine).rowcount == 0:
        raise FlavorServiceProfileBindingNotFound(sp_id=shown(profile_id), fl_id=shown(id_))


def _present_flavors(call: Call, items: list[Item]) -> None:
    _fill(call, items, _pairs.c.flavor_id, _pairs.c.service_profile_id, "service_profiles")


def _present_profiles(call: Call, items: list[Item]) -> None:
    _fill(call, items, _pairs.c.service_profile_id, _pairs.c.flavor_id, "flavors")


def _fill(call: Call, items: list[Item], key: Column[str], other: Column[str], name: str) -> None:
    found: dict[str, list[str]] = {}
    for part in rows.chunks(item["id"] for item in items):
        pairs = select(key.label("one"), other.label("other")).where(key.in_(part)).order_by(other)
        for pair in call.tx.execute(pairs):
            found.setdefault(pair.one, []).append(pair.other)
    for item in items:
        item[name] = found.get(item["id"], [])


_TIME = Attr(type=line(20), default=UNSET, visible=False)
_LIST = Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)
_COMMON = {
    "description": Attr(type=text(_LONG), default="", post=True, put=True),
    "project_id": Attr(type=line(), default="", stored=False, visible=False),
    "created_at": _TIME,
    "updated_at": _TIME,
    "revision_number": Attr(type=integer(0, 2**63 - 1), default=UNSET, visible=False),
    "enabled": Attr(type=BOOLEAN, default=True, post=True, put=True),
}

flavors = Resource(
    name="flavor",
    collection="flavors",
    not_found=FlavorNotFound,
    attributes={
        **_COMMON,
        "service_type": Attr(type=one_of(*SERVICE_TYPES), post=True),
        "service_profiles": _LIST,
    },
    delete=_delete_flavor,
    present=_present_flavors,
    children={
        "service_profiles": Child(
            collection="service_profiles",
            listing=_profiles_of,
            add=_add_profile,
            remove=_remove_profile,
            rule="flavor_service_profile",
        )
    },
)

profiles = Resource(
    name="service_profile",
    collection="service_profiles",
    not_found=ServiceProfileNotFound,
    attributes={
        **_COMMON,
        "name": Attr(type=line(), default="", stored=False, visible=False),
        "driver": Attr(type=text(_LONG), default="", post=True, put=True),
        "metainfo": Attr(type=text(_METADATA), default="", post=True, put=True, filter=False),
        "flavors": _LIST,
    },
    create=_create_profile,
    update=_update_profile,
    delete=_delete_profile,
    present=_present_profiles,
)

DECLARES = (
    flavors,
    profiles,
    Extension(
        resource="router",
        name="flavor",
        attributes={"flavor_id": Attr(type=UUID, default=None, post=True, nullable=True)},
        created=_created_router,
    ),
    Alias(alias="l3-flavors", name="Router Flavor Extension", description="Flavours of routers"),
    Alias(alias="flavors", name="Neutron Service Flavors", description="Choices that users are offered"),
)
