"""What others keep with a port, without a meaning for its traffic here: hints, wishes for Nova, a judgement.

Nova reads where an instance's memory should be and which accelerators it gets; a monitor writes what it
thinks of the port's data plane; hints are for a data plane that this is not.
"""

from typing import Any

from deuteron.resources.attribute import Attr, Type
from deuteron.resources.resource import Alias, Extension
from deuteron.resources.types import BOOLEAN, known_keys, one_of, or_null, text
from deuteron.store import Json

_STEERING = "tx-steering"


def _hints(value: Any) -> dict[str, Any] | None:
    """Return `{"openvswitch": {"other_config": {"tx-steering": "thread" or "hash"}}}`; nothing as null."""
    if value is None or value == {}:
        return None
    config = known_keys(known_keys(value, ["openvswitch"])["openvswitch"], ["other_config"])
    one_of("thread", "hash").convert(known_keys(config["other_config"], [_STEERING])[_STEERING])
    hints: dict[str, Any] = value
    return hints


DECLARES = (
    Extension(
        resource="port",
        name="attributes",
        attributes={
            "numa_affinity_policy": Attr(
                type=or_null(one_of("required", "preferred", "socket", "legacy")),
                default=None,
                post=True,
                put=True,
                nullable=True,
                filter=False,
                sort=False,
            ),
            "device_profile": Attr(
                type=or_null(text(255)), default=None, post=True, nullable=True, filter=False, sort=False
            ),
            "data_plane_status": Attr(
                type=or_null(one_of("ACTIVE", "DOWN")),
                default=None,
                put=True,
                nullable=True,
                filter=False,
                sort=False,
            ),
            "propagate_uplink_status": Attr(
                type=BOOLEAN, default=True, post=True, put=True, filter=False, sort=False
            ),
            "hints": Attr(
                type=Type(_hints, Json()),
                default=None,
                post=True,
                put=True,
                nullable=True,
                filter=False,
                sort=False,
            ),
        },
    ),
    Alias(alias="port-numa-affinity-policy", name="Port NUMA affinity policy", description="A wish for Nova"),
    Alias(
        alias="port-numa-affinity-policy-socket",
        name="Port NUMA affinity policy socket",
        description="One more policy",
    ),
    Alias(alias="port-device-profile", name="Port device profile", description="A wish for Cyborg"),
    Alias(
        alias="data-plane-status", name="Port data plane status", description="What a monitor thinks of it"
    ),
    Alias(
        alias="uplink-status-propagation",
        name="Uplink status propagation",
        description="propagate_uplink_status",
    ),
    Alias(
        alias="uplink-status-propagation-updatable",
        name="Uplink status propagation, updatable",
        description="It can be changed",
    ),
    Alias(alias="port-hints", name="Port hints", description="Hints for a data plane"),
    Alias(
        alias="port-hint-ovs-tx-steering",
        name="Port hint: Open vSwitch tx-steering",
        description="A hint that is known",
    ),
)
