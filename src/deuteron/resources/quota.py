"""How much of everything a project may have, and how much it has.

A limit is that of the settings (`quota_port`...) unless one is stored for the project; -1 is none. What is
created through the API is counted in the same transaction, where nobody else takes the last one meanwhile.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Integer, String, Table, delete, func, insert, select, text, update

from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest, NotFound, OverQuota
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.types import BOOLEAN, integer, shown
from deuteron.settings import ServerSettings
from deuteron.store import metadata

UNLIMITED = -1
_PREFIX = "quota_"
_LIMIT = integer(UNLIMITED, 2**31 - 1)

table = Table(
    "quota",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("limit", Integer, nullable=False),
)


class ProjectQuotaNotFound(NotFound):
    """`project_id`."""

    message = "Quota for project {project_id} could not be found."


def names() -> list[str]:
    """Return the resources that are counted."""
    options = (name for name in ServerSettings.__struct_fields__ if name.startswith(_PREFIX))
    return [name for option in options if (name := option.removeprefix(_PREFIX)) in metadata.tables]


def defaults(call: Call) -> dict[str, int]:
    """Return the limits of a project for which none are stored."""
    if call.settings.auth == "noauth":
        return dict.fromkeys(names(), UNLIMITED)
    return {name: getattr(call.settings, _PREFIX + name) for name in names()}


def limits(call: Call, project_id: str) -> dict[str, int]:
    """Return a project's limits."""
    stored = select(table.c.resource, table.c.limit).where(table.c.project_id == project_id)
    found = defaults(call)
    found.update({row.resource: row.limit for row in call.tx.execute(stored) if row.resource in found})
    return found


def take(call: Call, resource: Resource, values: Item) -> None:
    """Count an object that is about to be created. Raises OverQuota."""
    project_id = values.get("project_id")
    if not project_id or call.who is None or f"{_PREFIX}{resource.name}" not in _OPTIONS:
        return
    limit = call.tx.once("quota", project_id, lambda: limits(call, project_id)).get(resource.name, UNLIMITED)
    if limit < 0:
        return
    key = f"{project_id}/{resource.name}"
    # A list: counted on for each object of one request.
    count = call.tx.once("quota", key, lambda: [_locked_count(call, resource.name, project_id)])
    if count[0] >= limit:
        raise OverQuota(overs=[resource.name])
    count[0] += 1


_OPTIONS = frozenset(ServerSettings.__struct_fields__)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


def _locked_count(call: Call, name: str, project_id: str) -> int:
    if call.tx.dialect == "postgresql":
        call.tx.execute(_LOCK, {"key": f"quota/{name}/{project_id}"})
    return used(call, name, project_id)


def used(call: Call, name: str, project_id: str) -> int:
    """Return how many of a resource a project has."""
    counted = metadata.tables[name]
    count = select(func.count()).select_from(counted).where(counted.c.project_id == project_id)
    return int(call.tx.execute(count).scalar_one())


def details(call: Call, project_id: str) -> dict[str, dict[str, int]]:
    """Return a project's limits, and what it has."""
    return {
        name: {"limit": limit, "used": used(call, name, project_id), "reserved": 0}
        for name, limit in limits(call, project_id).items()
    }


def listing(call: Call) -> list[Item]:
    """Return the limits of all projects for which some are stored."""
    projects = call.tx.execute(select(table.c.project_id).distinct().order_by(table.c.project_id)).scalars()
    return [{"project_id": one, "tenant_id": one, **limits(call, one)} for one in projects.all()]


def change(call: Call, project_id: str, body: Any) -> dict[str, int]:
    """Store limits for a project. Unless `force`d, none is below what the project has."""
    given = dict(body) if isinstance(body, dict) else {}
    if not isinstance(body, dict):
        raise HTTPBadRequest(msg="Unable to find 'quota' in request body")
    force = _flag(given, "force")
    _flag(given, "check_limit")
    unknown = [shown(name) for name in given if name not in names()]
    if unknown:
        raise HTTPBadRequest(msg=f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    wanted = {name: _limit(name, value) for name, value in given.items()}
    for name, limit in wanted.items():
        _store(call, project_id, name, limit, force)
    return limits(call, project_id)


def _flag(given: dict[str, Any], name: str) -> bool:
    try:
        return bool(BOOLEAN.convert(given.pop(name, False)))
    except ValueError as error:
        raise HTTPBadRequest(msg=f"Invalid input for {name}. Reason: {error}.") from None


def _limit(name: str, value: Any) -> int:
    try:
        limit: int = _LIMIT.convert(value)
    except ValueError as error:
        raise HTTPBadRequest(msg=f"Invalid input for {name}. Reason: {error}.") from None
    return limit


def _store(call: Call, project_id: str, name: str, limit: int, force: bool) -> None:
    has = 0 if force or limit == UNLIMITED else _locked_count(call, name, project_id)
    if has > limit and limit != UNLIMITED:
        raise HTTPBadRequest(
            msg=f"Quota limit {limit} for {name} must be greater than or equal to already used {has}"
        )
    key: Mapping[str, Any] = {"project_id": project_id, "resource": name}
    mine = update(table).where(table.c.project_id == project_id, table.c.resource == name)
    if call.tx.execute(mine.values(limit=limit)).rowcount == 0:
        call.tx.execute(insert(table).values(**key, limit=limit))
    call.tx.changed("quota", project_id, "update")


def remove(call: Call, project_id: str) -> None:
    """Forget a project's limits: the defaults count again."""
    if call.tx.execute(delete(table).where(table.c.project_id == project_id)).rowcount == 0:
        raise ProjectQuotaNotFound(project_id=shown(project_id))
    call.tx.changed("quota", project_id, "delete")


DECLARES = (
    Alias(
        alias="quotas",
        name="Quota management support",
        description="How much of everything a project may have",
    ),
    Alias(alias="quota_details", name="Quota details management support", description="And how much it has"),
    Alias(
        alias="quota-check-limit",
        name="Quota engine limit check",
        description="A limit below what a project has is refused when check_limit asks for it",
    ),
    Alias(
        alias="quota-check-limit-default",
        name="Quota engine limit check by default",
        description="It is refused unless it is forced",
    ),
)
