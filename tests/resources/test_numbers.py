"""The lowest free number, whatever is taken."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from deuteron.resources import network, numbers
from deuteron.resources.numbers import parse_ranges
from deuteron.store import Database, Tx


def test_ranges_are_read() -> None:
    assert parse_ranges("20:30, 1:5") == [(1, 5), (20, 30)]
    for wrong in ("", "5", "5:1", "a:b", "1:2:3"):
        with pytest.raises(ValueError, match="is not FIRST:LAST"):
            parse_ranges(wrong)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=st.sets(st.integers(1, 12)), start=st.integers(0, 14))
def test_the_lowest_free_number_is_found(db: Database, taken: set[int], start: int) -> None:
    table = network.resource.table

    def work(tx: Tx) -> int | None:
        tx.execute(table.delete())
        for number in taken:
            values: dict[str, Any] = {column.name: "" for column in table.columns}
            values |= {"id": str(number), "provider_network_type": "vxlan", "availability_zone_hints": []}
            numeric = {"revision_number": 1, "mtu": 1, "provider_segmentation_id": number}
            flags = dict.fromkeys(
                ["admin_state_up", "shared", "router_external", "is_default", "port_security_enabled"], True
            )
            tx.execute(insert(table), values | numeric | flags)
        tx.memory.next[str(table.c.provider_segmentation_id)] = start
        return numbers.lowest_free(tx, table.c.provider_segmentation_id, [(1, 5), (8, 10)])

    free = sorted({*range(1, 6), *range(8, 11)} - taken)
    hinted = [number for number in free if number >= start]
    assert db.write_now(work) == (hinted or free or [None])[0]
