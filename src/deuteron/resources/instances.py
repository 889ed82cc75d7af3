"""What metadata tells instances besides their addresses, for clouds that have no Nova to ask."""

import base64
import binascii
from typing import Any

import msgspec
from sqlalchemy import delete as delete_from
from sqlalchemy import insert, select, update

from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest, NotFound
from deuteron.resources.hosts import instance_metadata
from deuteron.resources.types import line, shown

MAX_USER_DATA = 65535
"""Bytes, in Base64: as Nova has it."""
MAX_ITEMS = 128
"""Keys of `public_keys` and of `metadata`."""

_device_id = line(255)
_line = line(255)
_key_text = line(8192)


class InstanceNotFound(NotFound):
    """`id`."""

    message = "Nothing is said of instance {id}."


class Instance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request says. `user_data` is Base64; `public_keys` are OpenSSH's, by name."""

    name: str = ""
    user_data: str | None = None
    public_keys: dict[str, str] = {}
    metadata: dict[str, str] = {}


def put(call: Call, device_id: str, said: Instance) -> dict[str, Any]:
    """Store what is said of an instance, in place of what was. Raises HTTPBadRequest."""
    _check(device_id, said)
    keys = {name: key.strip() for name, key in said.public_keys.items()}
    values = {**msgspec.to_builtins(said), "public_keys": keys}
    table = instance_metadata
    mine = update(table).where(table.c.device_id == device_id).values(values)
    if call.tx.execute(mine).rowcount == 0:
        call.tx.execute(insert(table).values(device_id=device_id, **values))
    call.tx.changed("instance", device_id, "update")
    return {"device_id": device_id, **values}


def get(call: Call, device_id: str) -> dict[str, Any]:
    """Return what is said of an instance. Raises InstanceNotFound."""
    row = None
    if "\0" not in device_id:
        table = instance_metadata
        row = call.tx.execute(select(table).where(table.c.device_id == device_id)).first()
    if row is None:
        raise InstanceNotFound(id=shown(device_id))
    return {str(name): value for name, value in row._mapping.items()}


def delete(call: Call, device_id: str) -> None:
    """Forget what is said of an instance. Raises InstanceNotFound."""
    get(call, device_id)
    table = instance_metadata
    call.tx.execute(delete_from(table).where(table.c.device_id == device_id))
    call.tx.changed("instance", device_id, "delete")


def _check(device_id: str, said: Instance) -> None:
    try:
        if not _device_id.convert(device_id):
            raise ValueError("device id: empty")
        _line.convert(said.name)
        for name, items, value_type in (
            ("public_keys", said.public_keys, _key_text),
            ("metadata", said.metadata, _line),
        ):
            if len(items) > MAX_ITEMS:
                raise ValueError(f"{name}: more than {MAX_ITEMS} of them")
            for key, value in items.items():
                _line.convert(key)
                value_type.convert(value.strip() if name == "public_keys" else value)
        _check_user_data(said.user_data)
    except ValueError as error:
        raise HTTPBadRequest(msg=str(error)) from None


def _check_user_data(user_data: str | None) -> None:
    if user_data is None:
        return
    if len(user_data) > MAX_USER_DATA:
        raise ValueError(f"user_data: longer than {MAX_USER_DATA} bytes")
    try:
        base64.b64decode(user_data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"user_data: not Base64: {error}") from None
