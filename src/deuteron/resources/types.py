"""Types of attributes that have nothing to do with addresses.

Every string is refused that PostgreSQL cannot hold (NUL) or UTF-8 cannot encode; those that reach a
rendered file or a header are `name`, `label`... and have no control characters.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, String, Text

from deuteron.resources.attribute import Type
from deuteron.store import ID_LENGTH, Json

NAME_LENGTH = 255
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}(\1[0-9a-fA-F]{4}){2}\1[0-9a-fA-F]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DNS_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_DNS_KEYWORDS = ("<project_id>", "<project_name>", "<user_id>", "<user_name>")
"""Labels of a domain that stand for whose a name is."""
_TRUE = ("true", "1", "t", "yes", "y", "on")
_FALSE = ("false", "0", "f", "no", "n", "off")


def shown(value: Any) -> str:
    """Return a value as an error message may show it: one line, not long."""
    text = _CONTROL.sub("?", str(value))
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= 200 else text[:200] + "..."


def _text(value: Any, limit: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"'{shown(value)}' is not a valid string")
    if len(value) > limit:
        raise ValueError(f"'{shown(value)}' exceeds maximum length of {limit}")
    if "\0" in value or not _encodable(value):
        raise ValueError(f"'{shown(value)}' is not a valid string")
    return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _line(value: Any, limit: int) -> str:
    text = _text(value, limit)
    if _CONTROL.search(text):
        raise ValueError(f"'{shown(text)}' is not a valid string")
    return text


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (word := value.strip().lower()) in (*_TRUE, *_FALSE):
        return word in _TRUE
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise ValueError(f"'{shown(value)}' cannot be converted to boolean")


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 20 and re.fullmatch(r"[+-]?[0-9]+", value):
        return int(value)
    raise ValueError(f"'{shown(value)}' is not an integer")


def is_uuid(value: Any) -> bool:
    """Whether it is a UUID, with or without dashes."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _uuid(value: Any) -> str:
    if not is_uuid(value):
        raise ValueError(f"'{shown(value)}' is not a valid UUID")
    text: str = value
    return text


def _json(value: Any) -> Any:
    """Refuse strings that the database cannot hold, at any depth."""
    if isinstance(value, str):
        _text(value, 2**16)
    elif isinstance(value, dict):
        for key, item in value.items():
            _json(key)
            _json(item)
    elif isinstance(value, list):
        for item in value:
            _json(item)
    return value


def _dictionary(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"'{shown(value)}' is not a dictionary")
    result: dict[str, Any] = _json(value)
    return result


def text(limit: int) -> Type:
    """Text of several lines, up to `limit` characters."""
    column = String(limit) if limit <= 4096 else Text()
    return Type(lambda value: _text(value, limit), column, schema={"type": "string", "maxLength": limit})


def line(limit: int = NAME_LENGTH) -> Type:
    """Text without control characters, up to `limit` characters."""
    schema = {"type": "string", "maxLength": limit}
    return Type(lambda value: _line(value, limit), String(limit), schema=schema)


def or_null(of: Type) -> Type:
    """This type, or null."""
    schema = {"anyOf": [of.schema, {"type": "null"}]} if of.schema else {}
    return Type(lambda value: None if value is None else of.convert(value), of.column, of.from_query, schema)


def empty_if_null(of: Type, empty: Any) -> Type:
    """This type; null means the empty value."""

    def convert(value: Any) -> Any:
        return empty if value is None else of.convert(value)

    return Type(convert, of.column, of.from_query, of.schema)


def integer(low: int, high: int) -> Type:
    """A whole number of a range."""

    def convert(value: Any) -> int:
        number = _integer(value)
        if number < low:
            raise ValueError(f"'{number}' is too small - must be at least '{low}'")
        if number > high:
            raise ValueError(f"'{shown(number)}' is too large - must be no larger than '{high}'")
        return number

    def from_query(value: str) -> int:
        number = _integer(value)
        return number if -(2**31) <= number < 2**31 else -(2**31)

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Type(convert, Integer() if high < 2**31 else BigInteger(), from_query, schema)


def one_of(*values: Any) -> Type:
    """One of these strings or numbers."""

    def convert(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in values:
            raise ValueError(f"{shown(value)} is not in {list(values)}")
        return value

    return Type(convert, String(64), schema={"enum": list(values)})


def list_of(
    item: Callable[[Any], Any],
    unique: bool = True,
    what: str = "item",
    schema: Mapping[str, Any] | None = None,
) -> Type:
    """A list, converted item by item; null is the empty list. `schema` is that of an item."""

    def convert(value: Any) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise ValueError(f"'{shown(value)}' is not a list")
        items = [item(one) for one in value]
        if unique:
            _refuse_duplicates(items, what)
        return items

    return Type(convert, Json(), schema={"type": "array", "items": schema or {}})


def _refuse_duplicates(items: Sequence[Any], what: str) -> None:
    seen: list[Any] = []
    for one in items:
        if one in seen:
            raise ValueError(f"Duplicate {what} '{shown(one)}'")
        seen.append(one)


def known_keys(value: Any, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Return a dictionary that has the required keys and no unknown one. Raises ValueError."""
    given = _dictionary(value)
    missing = [key for key in required if key not in given]
    unknown = [shown(key) for key in given if key not in required and key not in optional]
    if missing or unknown:
        expected = sorted({*required, *optional})
        raise ValueError(
            f"Validation of dictionary's keys failed. Expected keys: {expected} "
            f"Provided keys: {sorted(shown(key) for key in given)}"
        )
    return given


def _dns_name(value: Any, keywords: Sequence[str] = ()) -> str:
    name = _line(value, 255).lower()
    if not name:
        return name
    parts = name.removesuffix(".").split(".")
    for part in parts:
        if part not in keywords and not _DNS_LABEL.fullmatch(part):
            raise ValueError(
                f"'{shown(name)}' not a valid PQDN or FQDN. Reason: Name '{shown(part)}' must be 1-63 "
                "characters long, each of which can only be alphanumeric or a hyphen"
            )
    if len(parts) > 1 and parts[-1].isdigit():
        raise ValueError(
            f"'{shown(name)}' not a valid PQDN or FQDN. Reason: TLD '{parts[-1]}' must not be all numeric"
        )
    return name


def _dns_domain(value: Any) -> str:
    domain = _dns_name(value, _DNS_KEYWORDS)
    if domain and not domain.endswith("."):
        raise ValueError(f"'{shown(domain)}' is not a FQDN")
    return domain


def _never(value: Any) -> Any:
    raise ValueError(f"'{shown(value)}' cannot be set")


def _name(value: Any) -> str:
    name = _line(value, NAME_LENGTH)
    if name != name.strip():
        raise ValueError(f"'{shown(name)}' is not a valid string: it begins or ends with a blank")
    return name


_LINE = line()
NAME = Type(_name, String(NAME_LENGTH), schema=_LINE.schema)
BOOLEAN = Type(_boolean, Boolean(), _boolean, {"type": "boolean"})
UUID = Type(_uuid, String(ID_LENGTH), schema={"type": "string", "format": "uuid"})
DICTIONARY = Type(_dictionary, Json(), schema={"type": "object"})
UUIDS = list_of(_uuid, schema=UUID.schema)
STRINGS = list_of(_LINE.convert, schema=_LINE.schema)
DNS_NAME = Type(_dns_name, String(255), schema=_LINE.schema)
DNS_DOMAIN = Type(_dns_domain, String(255), schema=_LINE.schema)
DERIVED = Type(_never, None)
"""Only shown."""
