"""Whether a caller may do something with an object: the rules held against it, or made part of a query.

What a caller may not see is not there: it is left out of lists and answered with 404. What may not be done to
something that is seen is answered with 403.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, not_, or_, select, true

from deuteron.policy import All, Either, Field, Match, Never, Policy, Tree
from deuteron.resources import rows
from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest, InvalidScope, PolicyNotAuthorized
from deuteron.resources.resource import Item, Resource
from deuteron.resources.types import shown
from deuteron.store import metadata

SHARED, EXTERNAL = "access_as_shared", "access_as_external"
"""What an RBAC policy grants."""
EVERYBODY = "*"
_GRANTS = {"shared": SHARED, "router:external": EXTERNAL}
"""Attributes that a caller finds true where an RBAC policy grants something to its project."""


def refuse_scope(call: Call) -> None:
    """Raise InvalidScope for a caller who is not in a project: Neutron's rules are about projects."""
    if call.who is not None and not call.who.project_id and call.settings.enforce_scope:
        raise InvalidScope


def check_create(call: Call, resource: Resource, values: Item, given: Iterable[str]) -> None:
    """Raise unless the caller may create an object of these values, of which those named were given."""
    if call.who is None:
        return
    own = values.get("project_id", call.project_id) == call.who.project_id
    if not own and not any(call.may(rule) for rule in _OF_OTHERS):
        raise HTTPBadRequest(
            msg="Specifying 'project_id' other than authenticated project in request requires admin or "
            "advsvc privileges"
        )
    rule = f"create_{resource.name}"
    set_ = {name: values[name] for name in given if values[name] != resource.attributes[name].default}
    _enforce(call, resource, [rule, *_attribute_rules(call.policy, rule, set_)], values)


_OF_OTHERS = ("context_is_admin", "context_is_advsvc")


def check_update(call: Call, resource: Resource, row: Item, changes: Item) -> None:
    """Raise unless the caller may change an object that it sees."""
    if call.who is not None:
        rule = f"update_{resource.name}"
        rules = [rule, *_attribute_rules(call.policy, rule, changes)]
        _enforce(call, resource, rules, {**row, **changes})


def check(call: Call, resource: Resource, rule: str, row: Item) -> None:
    """Raise PolicyNotAuthorized unless a rule allows it with this object."""
    if call.who is not None:
        _enforce(call, resource, [rule], row)


def refuse_whatever(call: Call, rule: str) -> None:
    """Raise PolicyNotAuthorized where a rule denies the caller everything, whatever the object is."""
    if _rest(call, rule) is False:
        raise PolicyNotAuthorized(rule=f"rule:{rule}")


def check_action(call: Call, resource: Resource, rule: str, row: Item, given: Item) -> None:
    """Raise PolicyNotAuthorized unless a rule and those of the attributes given allow it with an object."""
    if call.who is not None:
        _enforce(call, resource, [rule, *_attribute_rules(call.policy, rule, given)], {**row, **given})


_UNASKED = frozenset({"service_types"})
"""Attributes for which Neutron has rules and asks them nowhere: members set subnets' service types."""


def _attribute_rules(policy: Policy, rule: str, values: Item) -> Iterator[str]:
    """Give the rules that there are of attributes, and of what is in those that hold dictionaries."""
    for name, value in values.items():
        if name in _UNASKED:
            continue
        if (of_attribute := f"{rule}:{name}") in policy:
            yield of_attribute
        parts = value if isinstance(value, list) else [value]
        keys = {key: None for part in parts if isinstance(part, dict) for key in part}
        yield from (inner for key in keys if (inner := f"{of_attribute}:{key}") in policy)


def _enforce(call: Call, resource: Resource, rules: Iterable[str], target: Mapping[str, Any]) -> None:
    for rule in rules:
        if not holds(call, resource, _rest(call, rule), target):
            raise PolicyNotAuthorized(rule=f"rule:{rule}")


def _rest(call: Call, rule: str) -> Tree:
    return True if call.who is None else call.policy.of(call.who, rule)


def sees(call: Call, resource: Resource, row: Item) -> bool:
    """Whether the caller sees an object."""
    return holds(call, resource, _rest(call, f"get_{resource.name}"), row)


def get(call: Call, resource: Resource, id_: str, lock: bool = False) -> Item:
    """Return a row that the caller sees; raise the resource's error that says that there is none."""
    row = rows.get(call, resource, id_, lock)
    if not sees(call, resource, row):
        raise resource.not_found(id=id_)
    return row


def get_seen(call: Call, name: str, id_: str) -> Item:
    """Return a row of the resource of this name; raise not found unless the caller sees it."""
    resource = _resource(name)
    if "\0" in id_:
        raise resource.not_found(id=shown(id_))
    return get(call, resource, id_)


def refuse_unseen(call: Call, resource: Resource, values: Item) -> None:
    """Raise not found for what a request refers to and the caller does not see."""
    if call.who is None:
        return
    for name, value in values.items():
        references = resource.attributes[name].references
        if references and isinstance(value, str):
            other = _resource(references.partition(".")[0])
            if _rest(call, f"get_{other.name}") is not True and not sees(
                call, other, _once(call, other, value)
            ):
                raise other.not_found(id=value)


def hidden(call: Call, resource: Resource, items: list[Item]) -> tuple[set[str], list[set[str]]]:
    """Return the attributes that are not to be shown: of all the items, and of each of them besides."""
    if call.who is None or not items:
        return set(), []
    of_all, depending = set(), []
    seen = _rest(call, f"get_{resource.name}")
    for name, rule in _read_rules(call.policy, resource, tuple(resource.attributes)):
        rest = _rest(call, rule)
        if rest is False:
            of_all.add(name)
        elif rest is not True and rest != seen:
            depending.append((name, rest))
    if not depending:
        return of_all, []
    return of_all, [
        {name for name, rest in depending if not holds(call, resource, rest, item)} for item in items
    ]


@cache
def _read_rules(policy: Policy, resource: Resource, names: tuple[str, ...]) -> list[tuple[str, str]]:
    rules = ((name, f"get_{resource.name}:{name}") for name in names)
    return [(name, rule) for name, rule in rules if rule in policy]


def holds(call: Call, resource: Resource, tree: Tree, target: Mapping[str, Any]) -> bool:
    """Whether what remains of a rule is true of an object, stored or about to be."""
    match tree:
        case bool():
            return tree
        case All(parts):
            return all(holds(call, resource, part, target) for part in parts)
        case Either(parts):
            return any(holds(call, resource, part, target) for part in parts)
        case Never(part):
            return not holds(call, resource, part, target)
        case Match(path, values):
            return _at(call, resource, path, target) in values
        case Field():
            return _field_holds(call, resource, tree, target)
    raise AssertionError(f"{tree} says nothing of an object")


def _at(call: Call, resource: Resource, path: str, target: Mapping[str, Any]) -> Any:
    path = "project_id" if path == "tenant_id" else path
    if path in target:
        return target[path]
    parent, name = _of_another(resource, path)
    id_ = target.get(f"{parent}_id")
    if not name or not isinstance(id_, str) or parent not in metadata.tables:
        return None
    return _once(call, _resource(parent), id_).get(name)


def _of_another(resource: Resource, path: str) -> tuple[str, str]:
    """Return which other resource's attribute a path names, and which attribute."""
    other, _, name = path.partition(":")
    return resource.parent if other == "ext_parent" else other, name


def _field_holds(call: Call, resource: Resource, field: Field, target: Mapping[str, Any]) -> bool:
    granted = _grant(field)
    if granted is None:
        return field.holds(target.get(field.name))
    action, owner = granted
    id_ = target.get("id" if owner == resource.name else f"{owner}_id")
    if not isinstance(id_, str):
        return False
    asked = _grants(call, action).where(_rbac().c.object_id == id_)
    found: bool = call.tx.once(
        "rbac_policy", f"{action}/{id_}", lambda: call.tx.execute(asked).first() is not None
    )
    return found


def condition(call: Call, resource: Resource) -> ColumnElement[bool] | None:
    """Return which rows the caller sees, as a condition of a query; None for all of them."""
    rest = _rest(call, f"get_{resource.name}")
    return None if rest is True else _sql(call, resource, rest)


def _sql(call: Call, resource: Resource, tree: Tree) -> ColumnElement[bool]:
    match tree:
        case bool():
            return true() if tree else false()
        case All(parts):
            return and_(*(_sql(call, resource, part) for part in parts))
        case Either(parts):
            return or_(*(_sql(call, resource, part) for part in parts))
        case Never(part):
            return not_(_sql(call, resource, part))
        case Match(path, values):
            return _sql_match(resource, path, values)
        case Field():
            return _sql_field(call, resource, tree)
    raise AssertionError(f"{tree} says nothing of a row")


def _sql_match(resource: Resource, path: str, values: frozenset[str]) -> ColumnElement[bool]:
    path = "project_id" if path == "tenant_id" else path
    if path in resource.attributes:
        return resource.column(path).in_(sorted(values))
    parent, name = _of_another(resource, path)
    if f"{parent}_id" not in resource.attributes or parent not in metadata.tables:
        return false()
    owner = metadata.tables[parent]
    return resource.column(f"{parent}_id").in_(select(owner.c.id).where(owner.c[name].in_(sorted(values))))


def _sql_field(call: Call, resource: Resource, field: Field) -> ColumnElement[bool]:
    granted = _grant(field)
    if granted is not None:
        action, owner = granted
        column = resource.column("id" if owner == resource.name else f"{owner}_id")
        return column.in_(_grants(call, action))
    if field.name not in resource.attributes or not resource.has_column(field.name):
        return false()
    if field.value.startswith("~"):
        matches: ColumnElement[bool] = resource.column(field.name).regexp_match(f"^(?:{field.value[1:]})")
        return matches
    same: ColumnElement[bool] = resource.column(field.name) == resource.attributes[
        field.name
    ].type.from_query(field.value)
    return same


def _grant(field: Field) -> tuple[str, str] | None:
    """Return what must be granted on an object of which resource for a field to be true, if that is so."""
    action = _GRANTS.get(field.name)
    if action is None or field.value.lower() != "true":
        return None
    if action == EXTERNAL:
        return action, "network"
    singular = field.collection.removesuffix("s")
    return action, f"{singular.removesuffix('ie')}y" if field.collection.endswith("ies") else singular


def _grants(call: Call, action: str) -> Select[Any]:
    """Return the ids of what is granted to the caller's project."""
    table = _rbac()
    targets = [EVERYBODY, *([call.who.project_id] if call.who else [])]
    return select(table.c.object_id).where(table.c.action == action, table.c.target_tenant.in_(targets))


def _rbac() -> Any:
    return metadata.tables["rbac_policy"]


def _resource(name: str) -> Resource:
    found: Resource = metadata.tables[name].info["resource"]
    return found


def _once(call: Call, resource: Resource, id_: str) -> Item:
    return call.tx.once(resource.name, id_, lambda: rows.get(call, resource, id_))
