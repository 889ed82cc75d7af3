from hypothesis import given
from hypothesis import strategies as st

from deuteron.drill.stage import link_local
from deuteron.drill.underlay import SHOWN, escaped
from deuteron.lab.listener import Frame

GATEWAY, VM, PEER, DVR = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "fa:16:3e:00:00:03", "fa:16:3f:00:00:04"
GATEWAYS = {GATEWAY: frozenset({"10.1.0.1", link_local(GATEWAY)})}


def frame(source: str, destination: str, type_: str = "0800", about: str = "") -> Frame:
    return Frame("u-compute1", "10.20.0.15", "10.20.0.16", source, destination, type_, about)


def test_what_belongs_on_the_underlay_is_nothing_to_tell() -> None:
    heard = [
        frame(DVR, VM),
        frame(VM, PEER),
        frame(VM, "ff:ff:ff:ff:ff:ff", "0806", "10.1.0.9"),
        frame(VM, "33:33:ff:00:00:02", "86dd", link_local(VM)),
    ]
    assert escaped(GATEWAYS, heard) == []


def test_what_belongs_to_a_gateway_is_told_with_who_sent_it() -> None:
    assert escaped(GATEWAYS, [frame(GATEWAY, VM), frame(VM, GATEWAY)]) == [
        f"compute1 sent a frame from the gateway {GATEWAY} to {VM} (type 0800) to 10.20.0.16",
        f"compute1 sent a frame from {VM} to the gateway {GATEWAY} (type 0800) to 10.20.0.16",
    ]
    for type_, about in (("0806", "10.1.0.1"), ("86dd", link_local(GATEWAY))):
        (told,) = escaped(GATEWAYS, [frame(VM, "ff:ff:ff:ff:ff:ff", type_, about)])
        assert f"a question or answer of {VM} about the gateway {about}" in told


def test_a_link_local_address_is_made_of_the_mac_address() -> None:
    assert link_local("fa:16:3e:01:02:03") == "fe80::f816:3eff:fe01:203"


@given(st.lists(st.sampled_from([GATEWAY, VM, PEER, DVR]), max_size=40))
def test_not_more_is_told_than_one_reads(sources: list[str]) -> None:
    told = escaped(GATEWAYS, [frame(source, "ff:ff:ff:ff:ff:ff") for source in sources])
    assert bool(told) == (GATEWAY in sources)
    assert len(told) <= SHOWN + 1
    if sources.count(GATEWAY) > SHOWN:
        assert told[-1] == f"and {sources.count(GATEWAY) - SHOWN} more such kinds of frames"
