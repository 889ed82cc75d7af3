"""Distributed parts: routing between networks from host to host, and what never leaves a host."""

from collections.abc import Iterator

import pytest

from tests.agent.l3.distributed.scene import (
    A1,
    A2,
    B1,
    B2,
    A,
    B,
    Scene,
    dvr_mac,
    gateway_mac,
    scene,
)

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def built() -> Iterator[Scene]:
    with scene() as made:
        for instance, host in ((A1, made.c1), (B1, made.c1), (A2, made.c2), (B2, made.c2)):
            made.boot(instance, host)
        made.tell()
        yield made


def test_from_host_to_host(built: Scene) -> None:
    with built.captured(built.c1, built.c2) as frames:
        for source, target in ((A1, B2), (B2, A1), (A1, B1), (A1, A2), (A2, B1)):
            assert built.pings(source, target.address)
            assert built.pings(source, target.address6)
        for number in (1, 2):
            assert built.pings(A1, f"10.{number}.0.1")
            assert built.pings(A1, f"fd00:{number}::1")
    assert any(dvr_mac(built.c1) in frame for frame in frames)
    assert any(dvr_mac(built.c2) in frame for frame in frames)
    for network in (A, B):
        assert not [frame for frame in frames if gateway_mac(network) in frame]
    assert not [frame for frame in frames if "0.1 tell" in frame or "has fd00:1::1," in frame]
