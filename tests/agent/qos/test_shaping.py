"""Limits as token buckets, and what `tc` is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.qos import shaping
from deuteron.agent.qos.shaping import Bucket, Held
from deuteron.plan.units import Limit

EIGHT = Bucket(rate=8000, burst=800_000, queue=80_716)
SHAPED = Held("de07:", "tbf", filters=True)


def test_a_bucket_holds_a_share_of_a_second_where_nothing_is_said() -> None:
    assert shaping.bucket(Limit(direction="egress", rate=8000), 1500) == EIGHT
    asked = shaping.bucket(Limit(direction="egress", rate=8000, burst=400), 1500)
    assert asked.burst == 50_000


@given(st.integers(1, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(68, 65535))
def test_a_bucket_lets_frames_pass_and_is_one_that_the_kernel_can_count(
    rate: int, burst: int, mtu: int
) -> None:
    found = shaping.bucket(Limit(direction="ingress", rate=rate, burst=burst), mtu)
    assert found.rate == rate
    assert mtu + 14 <= found.burst < 2**31
    assert min(found.burst, 65536) <= found.queue < 2**31
    seconds = found.burst / (rate * 125)
    assert seconds <= 200 or found.burst <= mtu + 18


def test_what_the_kernel_says() -> None:
    assert shaping.held([
        {"kind": "noqueue", "handle": "0:", "dev": "tap0", "root": True},
        {"kind": "tbf", "handle": "de07:", "dev": "tap1", "root": True},
        {"kind": "clsact", "handle": "ffff:", "dev": "tap1", "parent": "ffff:fff1"},
    ]) == {"tap0": Held("0:", "noqueue"), "tap1": SHAPED}  # fmt: skip


def test_commands() -> None:
    assert shaping.root("tap1", EIGHT, Held("0:", "noqueue")) == [
        "qdisc replace dev tap1 root handle de07: tbf rate 8000kbit burst 800000 limit 80716"
    ]
    assert shaping.root("tap1", None, SHAPED) == ["qdisc delete dev tap1 root"]
    assert shaping.root("tap1", None, Held("1:", "htb")) == []
    assert shaping.redirect("tap1", "ifb1", Held("0:", "noqueue"))[0] == "qdisc add dev tap1 clsact"
    assert len(shaping.redirect("tap1", "ifb1", SHAPED)) == 1


def test_what_is_not_ours_stays() -> None:
    with pytest.raises(ValueError, match="tap1 has a queueing discipline htb 1: that is not ours"):
        shaping.root("tap1", EIGHT, Held("1:", "htb"))
