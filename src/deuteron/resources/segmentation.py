"""What a segment is on the wires: an overlay (vxlan), a VLAN of a physical network, or all of one (flat)."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from deuteron.resources.errors import BadRequest, InvalidInput
from deuteron.resources.l2_errors import SegmentsContainDuplicateEntry
from deuteron.resources.numbers import Range, parse_ranges
from deuteron.resources.types import integer, known_keys, line, one_of, or_null, shown
from deuteron.settings import ServerSettings

FLAT: Final = "flat"
VLAN: Final = "vlan"
VXLAN: Final = "vxlan"
Kind = Literal["flat", "vlan", "vxlan"]
TYPES: tuple[Kind, ...] = (FLAT, VLAN, VXLAN)
NUMBERED: dict[str, Range] = {VLAN: (1, 4094), VXLAN: (1, 2**24 - 1)}
"""Types whose segments have numbers, and which numbers there are."""
VXLAN_OVERHEAD = 50
"""Bytes: the outer IPv4, UDP and VXLAN headers and the inner Ethernet one."""
PREFIX = "provider:"
NETWORK_TYPE = one_of(*TYPES)
PHYSICAL_NETWORK = line(64)
NUMBER = integer(1, 2**24 - 1)


class Segment(msgspec.Struct, frozen=True):
    """A segment, or as much of it as a request says."""

    type: Kind
    physical_network: str | None = None
    number: int | None = None
    """Its VXLAN identifier or VLAN."""

    @property
    def is_partial(self) -> bool:
        """Whether its number is still to be chosen."""
        return self.type in NUMBERED and self.number is None

    def __str__(self) -> str:
        """Return it in words."""
        words = self.type if self.number is None else f"{self.type} {self.number}"
        return f"{words} of {self.physical_network}" if self.physical_network else words


class DefaultRange(msgspec.Struct, frozen=True):
    """Numbers that the server's settings give out to everybody."""

    type: Kind
    physical_network: str | None
    range: Range


def default_ranges(settings: ServerSettings) -> list[DefaultRange]:
    """Return the ranges of the settings. Raises ValueError, which names the option."""
    given: list[tuple[Kind, str | None, str, str]] = [
        (VXLAN, None, settings.vni_ranges, f"vni_ranges = {settings.vni_ranges!r}")
    ]
    for text in settings.network_vlan_ranges:
        physical, colon, ranges = text.partition(":")
        if not physical:
            raise ValueError(f"network_vlan_ranges = {text!r}: there is no name of a physical network")
        if colon:
            given.append((VLAN, physical, ranges, f"network_vlan_ranges = {text!r}"))
    return [
        DefaultRange(type_, physical, one)
        for type_, physical, ranges, option in given
        for one in _ranges(type_, ranges, option)
    ]


def _ranges(type_: Kind, text: str, option: str) -> list[Range]:
    low, high = NUMBERED[type_]
    try:
        found = parse_ranges(text)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
    if any(not low <= first <= last <= high for first, last in found):
        raise ValueError(f"{option}: {type_} has {low}:{high}")
    return found


def check(settings: ServerSettings, one: Segment, vlan_networks: Sequence[str]) -> None:
    """Raise InvalidInput unless there can be such a segment; VLANs are on these physical networks."""
    physical = one.physical_network
    if one.type == VXLAN and physical:
        raise InvalidInput(error_message="physical_network prohibited for vxlan provider network")
    if one.type == FLAT:
        _check_flat(settings, one)
    if one.type == VLAN and physical and physical not in vlan_networks:
        raise InvalidInput(error_message=f"physical_network '{physical}' unknown for VLAN provider network")
    if one.type == VLAN and not physical and one.number is not None:
        raise InvalidInput(
            error_message="segmentation_id requires physical_network for VLAN provider network"
        )
    low, high = NUMBERED.get(one.type, (0, 0))
    if one.type in NUMBERED and one.number is not None and not low <= one.number <= high:
        raise InvalidInput(error_message=f"segmentation_id out of range ({low} through {high})")


def _check_flat(settings: ServerSettings, one: Segment) -> None:
    if not one.physical_network:
        raise InvalidInput(error_message="physical_network required for flat provider network")
    if "*" not in settings.flat_networks and one.physical_network not in settings.flat_networks:
        raise InvalidInput(
            error_message=f"physical_network '{one.physical_network}' unknown for flat provider network"
        )
    if one.number is not None:
        raise InvalidInput(error_message="segmentation_id prohibited for flat provider network")


def reached(segments: Iterable[Segment], physical_networks: Collection[str]) -> Segment | None:
    """Return the segment of a network that a host is on: the first that it reaches."""
    return next(
        (one for one in segments if one.type == VXLAN or one.physical_network in physical_networks), None
    )


def refuse_duplicates(segments: Sequence[Segment]) -> None:
    """Raise if a segment is said twice."""
    whole = [one for one in segments if not one.is_partial]
    if len(set(whole)) != len(whole):
        raise SegmentsContainDuplicateEntry


def max_mtu(settings: ServerSettings, type_: str) -> int:
    """Return the largest MTU that a segment of a type carries, in bytes."""
    return settings.global_physnet_mtu - (VXLAN_OVERHEAD if type_ == VXLAN else 0)


_KEYS = {"network_type": NETWORK_TYPE, "physical_network": PHYSICAL_NETWORK, "segmentation_id": NUMBER}


def item(value: Any) -> dict[str, Any]:
    """Return one of a network's `segments`, complete. Raises ValueError."""
    given = known_keys(value, [], [PREFIX + name for name in _KEYS])
    found = {}
    for name, type_ in _KEYS.items():
        found[PREFIX + name] = or_null(type_).convert(given.get(PREFIX + name))
    return found


def of_item(value: dict[str, Any]) -> Segment:
    """Return a segment of how the API shows it in a network. Raises InvalidInput without a type."""
    type_, physical, number = (value[PREFIX + name] for name in _KEYS)
    if not type_:
        raise InvalidInput(error_message="network_type required")
    return Segment(type_, physical or None, number)


def to_item(one: Segment | None) -> dict[str, Any]:
    """Return a segment as the API shows it in a network; without a type if there is none."""
    values = (one.type, one.physical_network, one.number) if one else ("", None, None)
    return {PREFIX + name: value for name, value in zip(_KEYS, values, strict=True)}


def refuse_range(type_: str, low: int, high: int) -> None:
    """Raise unless there are such numbers of a type."""
    least, most = NUMBERED[type_]
    if not least <= low <= high <= most:
        raise BadRequest(
            resource="network_segment_range",
            msg=f"Invalid {shown(type_)} range {low}:{high}: it must be within {least}:{most} and not empty",
        )
