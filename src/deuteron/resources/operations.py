"""The operations on any resource: may the caller, validate, do what its module says, show the result.

All run inside the caller's transaction; whatever raises leaves nothing behind.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deuteron.resources import access, quota, rows
from deuteron.resources import query as queries
from deuteron.resources.attribute import REQUIRED, UNSET, column_name
from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest, RevisionNumberConstraintFailed
from deuteron.resources.query import Query
from deuteron.resources.resource import Child, Extension, Item, Resource
from deuteron.resources.types import shown


def create(call: Call, resource: Resource, body: Any, parent: str = "") -> Item:
    """Create an object from the attributes of a request; return it as it is shown.

    Here and below, `parent` is the object below which it lives, for a resource that lives below another.
    """
    return create_many(call, resource, [body], parent)[0]


def create_many(call: Call, resource: Resource, bodies: Sequence[Any], parent: str = "") -> list[Item]:
    """Create objects, all or none; what is derived of them is read once for all."""
    return present(call, resource, [_created(call, resource, body, parent) for body in bodies])


def _created(call: Call, resource: Resource, body: Any, parent: str) -> Item:
    access.refuse_scope(call)
    if resource.parent:
        access.refuse_whatever(call, f"create_{resource.name}")
    _check_parent(call, resource, parent)
    given = _validated(resource, body, "post")
    access.refuse_unseen(call, resource, given)
    values = _with_defaults(call, resource, given)
    if parent:
        values[f"{resource.parent}_id"] = parent
    access.check_create(call, resource, values, given)
    quota.take(call, resource, values)
    row = resource.create(call, values) if resource.create else rows.create(call, resource, values)
    for extension in resource.extensions:
        _insert_extension(call, extension, row["id"], _given_to(extension, values))
    for extension in resource.extensions:
        if extension.created:
            extension.created(call, row, values)
    return {**_stored_by_extensions(resource, values), **row}


def show(
    call: Call, resource: Resource, id_: str, fields: frozenset[str] = frozenset(), parent: str = ""
) -> Item:
    """Return one object."""
    access.refuse_scope(call)
    _check_parent(call, resource, parent)
    if resource.show:
        return resource.show(call, id_, fields)
    return present(call, resource, [get(call, resource, id_, parent=parent)], fields)[0]


def listing(call: Call, resource: Resource, query: Query) -> list[Item]:
    """Return the objects that a query asks for, of those that the caller sees."""
    access.refuse_scope(call)
    _check_parent(call, resource, query.parent)
    return present(call, resource, queries.rows(call, resource, query), query.fields)


def update(
    call: Call, resource: Resource, id_: str, body: Any, revision: int | None = None, parent: str = ""
) -> Item:
    """Change an object; `revision` is the one it must have. Return it as it is shown."""
    access.refuse_scope(call)
    _check_parent(call, resource, parent)
    # What is wrong whatever there is comes first, as in Neutron.
    changes = _validated(resource, body, "put") or dict(resource.blank)
    row = get(call, resource, id_, lock=True, parent=parent)
    access.refuse_unseen(call, resource, changes)
    access.check_update(call, resource, row, changes)
    _check_revision(row, revision)
    for extension in resource.extensions:
        if extension.updating:
            extension.updating(call, row, changes)
    before, own = row, _own(resource, changes)
    row = resource.update(call, row, own) if resource.update else rows.change(call, resource, row, own)
    stored = store_extensions(call, resource, id_, changes)
    if stored and row["revision_number"] == before["revision_number"]:
        row = rows.change(call, resource, row, {})  # else nobody would hear of it
    for extension in resource.extensions:
        if extension.updated:
            extension.updated(call, before, changes)
    if resource.rows is None:
        row = queries.with_extensions(call, resource, row)
    return present(call, resource, [row])[0]


def delete(call: Call, resource: Resource, id_: str, revision: int | None = None, parent: str = "") -> None:
    """Delete an object; `revision` is the one it must have."""
    access.refuse_scope(call)
    _check_parent(call, resource, parent)
    row = get(call, resource, id_, lock=True, parent=parent)
    access.check(call, resource, f"delete_{resource.name}", row)
    _check_revision(row, revision)
    for extension in resource.extensions:
        if extension.deleting:
            extension.deleting(call, row)
    if resource.delete:
        resource.delete(call, row)
    else:
        rows.remove(call, resource, row["id"])


def act(call: Call, resource: Resource, id_: str, name: str, body: Any) -> Any:
    """Do what an action of an object does; return the body of the answer."""
    access.refuse_scope(call)
    if not call.may(name):
        access.check(call, resource, name, get(call, resource, id_))
    return resource.actions[name](call, id_, body)


def children(call: Call, resource: Resource, id_: str, name: str) -> list[Item]:
    """Return what a collection below an object holds."""
    child = resource.children[name]
    _check_child(call, resource, id_, f"get_{child.rule or name}")
    return child.listing(call, id_)


def add_child(call: Call, resource: Resource, id_: str, name: str, body: Any) -> Any:
    """Add to a collection below an object; return the body of the answer."""
    child = resource.children[name]
    _check_child(call, resource, id_, f"create_{_one(child, name)}")
    assert child.add is not None
    return child.add(call, id_, body)


def show_child(call: Call, resource: Resource, id_: str, name: str, which: str) -> Any:
    """Return the body of the answer that shows one of a collection below an object."""
    child = resource.children[name]
    _check_child(call, resource, id_, f"get_{_one(child, name)}")
    assert child.show is not None
    return child.show(call, id_, which)


def change_child(call: Call, resource: Resource, id_: str, name: str, which: str, body: Any) -> Any:
    """Change one of a collection below an object; return the body of the answer."""
    child = resource.children[name]
    _check_child(call, resource, id_, f"update_{_one(child, name)}")
    assert child.change is not None
    return child.change(call, id_, which, body)


def act_on_child(
    call: Call, resource: Resource, id_: str, name: str, which: str, action: str, body: Any
) -> Any:
    """Do what an action of one of a collection below an object does; return the body of the answer."""
    _check_child(call, resource, id_, action)
    return resource.children[name].actions[action](call, id_, which, body)


def remove_child(call: Call, resource: Resource, id_: str, name: str, which: str) -> None:
    """Take from a collection below an object."""
    child = resource.children[name]
    _check_child(call, resource, id_, f"delete_{_one(child, name)}")
    assert child.remove is not None
    child.remove(call, id_, which)


def _one(child: Child, name: str) -> str:
    return child.rule or name.removesuffix("s")


def _check_child(call: Call, resource: Resource, id_: str, rule: str) -> None:
    access.refuse_scope(call)
    if not call.may(rule):
        access.check(call, resource, rule, get(call, resource, id_))


def present(
    call: Call, resource: Resource, items: list[Item], fields: frozenset[str] = frozenset()
) -> list[Item]:
    """Return stored rows as they are shown: derived attributes in, those not for the caller out.

    What a derived attribute says nothing about has none.
    """
    if items:
        if resource.present:
            resource.present(call, items)
        for extension in resource.extensions:
            if extension.present:
                extension.present(call, items)
    hidden, hidden_of_each = access.hidden(call, resource, items)
    shown_ = [
        name
        for name, attr in resource.attributes.items()
        if attr.visible and name not in hidden and (not fields or name in fields)
    ]
    result = [{name: item[name] for name in shown_ if name in item} for item in items]
    for view, names in zip(result, hidden_of_each, strict=False):
        for name in names:
            view.pop(name, None)
    owner = resource.attributes.get("project_id")
    if owner and owner.visible and (not fields or "tenant_id" in fields):
        for view, item in zip(result, items, strict=True):
            view["tenant_id"] = item["project_id"]
    return result


def _check_parent(call: Call, resource: Resource, id_: str) -> None:
    """Raise not found unless the caller sees the object below which this is."""
    if resource.parent:
        access.get_seen(call, resource.parent, id_)


def get(call: Call, resource: Resource, id_: str, lock: bool = False, parent: str = "") -> Item:
    """Return an object that the caller sees, with what extensions store for it. Raises not found."""
    if "\0" in id_:
        raise resource.not_found(id=shown(id_))
    if resource.rows is not None:
        row = next((item for item in resource.rows(call) if item["id"] == id_), None)
    elif resource.key != "id":
        row = _below(call, resource, id_, parent)
    else:
        row = rows.find(call, resource, id_, lock)
    if row is None or not access.sees(call, resource, row):
        raise resource.not_found(id=shown(id_))
    if parent and row[f"{resource.parent}_id"] != parent:
        raise resource.not_found(id=shown(id_))
    if resource.rows is not None:
        return row
    return queries.with_extensions(call, resource, row)


def _below(call: Call, resource: Resource, key: str, parent: str) -> Item | None:
    """Return an object that a path names by something else than its id."""
    same = resource.column(resource.key) == key, resource.column(f"{resource.parent}_id") == parent
    return next(iter(rows.where(call, resource, *same)), None)


def _validated(resource: Resource, body: Any, method: str) -> Item:
    """Return the request's attributes, converted; refuse what is unknown, not allowed or wrong."""
    if not isinstance(body, dict):
        raise HTTPBadRequest(msg=f"'{shown(body)}' is not a dictionary of attributes")
    given = _project_named_once(resource, body)
    unknown = [shown(name) for name in given if name not in resource.attributes]
    if unknown:
        raise HTTPBadRequest(msg=f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    for name in given:
        attr = resource.attributes[name]
        if not getattr(attr, method):
            raise HTTPBadRequest(
                msg=f"Attribute '{name}' not allowed in POST"
                if method == "post"
                else f"Cannot update read-only attribute {name}"
            )
    return {name: _converted(resource, name, value) for name, value in given.items()}


def _project_named_once(resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(body)
    if "tenant_id" in given and "project_id" in resource.attributes:
        tenant = given.pop("tenant_id")
        if given.setdefault("project_id", tenant) != tenant:
            raise HTTPBadRequest(msg="'project_id' and 'tenant_id' do not match")
    return given


def _converted(resource: Resource, name: str, value: Any) -> Any:
    attr = resource.attributes[name]
    if value is None and attr.nullable:
        return None
    try:
        return attr.type.convert(value)
    except ValueError as error:
        raise HTTPBadRequest(msg=f"Invalid input for {name}. Reason: {error}.") from None


def _with_defaults(call: Call, resource: Resource, values: Item) -> Item:
    """Return the values with a default for what is absent; what is UNSET is for `create` to decide."""
    complete = {"project_id": call.project_id, **values}
    for name, attr in resource.attributes.items():
        if name in complete:
            continue
        if attr.default is REQUIRED:
            if attr.post:
                raise HTTPBadRequest(
                    msg=f"Failed to parse request. Required attribute '{name}' not specified"
                )
        elif attr.default is not UNSET or attr.post:
            complete[name] = attr.default
    return complete


def _stored_by_extensions(resource: Resource, values: Item) -> Item:
    """Return what extensions have just stored of these values."""
    attributes = [(name, attr) for one in resource.extensions for name, attr in one.attributes.items()]
    return {name: values.get(name, attr.default) for name, attr in attributes if attr.stored}


def _own(resource: Resource, values: Item) -> Item:
    foreign = {name for extension in resource.extensions for name in extension.attributes}
    return {name: value for name, value in values.items() if name not in foreign}


def store_extensions(call: Call, resource: Resource, id_: str, values: Item) -> bool:
    """Store what is given of an object's attributes that are extensions'; return whether there was any."""
    stored = False
    for extension in resource.extensions:
        given = _given_to(extension, values)
        if extension.table is None or not given:
            continue
        stored = True
        mine = extension.table.update().where(extension.table.c.id == id_).values(given)
        if call.tx.execute(mine).rowcount == 0:
            _insert_extension(call, extension, id_, given)
    return stored


def _given_to(extension: Extension, values: Item) -> Item:
    """Return what an extension stores of an object's attributes, by column."""
    stored = (name for name, attr in extension.attributes.items() if attr.stored and name in values)
    return {column_name(name): values[name] for name in stored}


def _insert_extension(call: Call, extension: Extension, id_: str, given: Item) -> None:
    """Store what an extension has of an object that had only defaults, unless it still has."""
    if extension.table is None or not given:
        return
    defaults = {column_name(name): attr.default for name, attr in extension.attributes.items() if attr.stored}
    if {**defaults, **given} != defaults:
        call.tx.execute(extension.table.insert(), {"id": id_, **defaults, **given})


def _check_revision(row: Item, revision: int | None) -> None:
    if revision is not None and row.get("revision_number") != revision:
        raise RevisionNumberConstraintFailed(expected=revision, current=row.get("revision_number"))
