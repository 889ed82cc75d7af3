"""Forwarded ports: what nftables is told, and where packets then go."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3 import forwardings, rules
from deuteron.plan.units import FloatingIP, Forwarding
from tests.agent.l3 import scene

GOLDEN = Path(__file__).with_name("golden") / "forwardings.nft"


def forwarding(protocol: str, external: tuple[int, int], internal: tuple[int, int]) -> Forwarding:
    return Forwarding(protocol=protocol, external=external, fixed_ip="10.0.0.5", internal=internal)


def floating(*forwarded: Forwarding) -> FloatingIP:
    return FloatingIP(
        id="f10a0002-0000-4000-8000-00000000000a",
        router=scene.ROUTER,
        floating_ip="203.0.113.51",
        forwardings=forwarded,
    )


FLOATING = floating(
    forwarding("tcp", (2222, 2222), (22, 22)),
    forwarding("tcp", (8000, 8099), (80, 80)),
    forwarding("udp", (5000, 5099), (5000, 5099)),
    forwarding("udp", (6000, 6002), (7000, 7002)),
)


def test_golden() -> None:
    whole = rules.render(scene.router(), [scene.floating_ip(), FLOATING])
    parts = [forwardings.maps([FLOATING]), forwardings.IN, forwardings.OUT]
    assert "".join(parts) == GOLDEN.read_text()
    assert all(part in whole for part in parts)


@pytest.mark.lab
def test_nft_takes_it() -> None:
    words = ["unshare", "--net", "nft", "-f", "-"]
    rendered = rules.render(scene.router(), [scene.floating_ip(), FLOATING])
    done = subprocess.run(words, input=rendered * 2, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_forwarded_says_nothing() -> None:
    assert "forward" not in forwardings.maps([scene.floating_ip()])
    assert forwardings.IN not in rules.render(scene.router(), [scene.floating_ip()])


@pytest.mark.parametrize("wrong", ["icmp", "tcp }\n drop"])
def test_what_is_no_forwarding_never_reaches_nft(wrong: str) -> None:
    with pytest.raises(ValueError, match="no ports to forward"):
        rules.render(scene.router(), [floating(forwarding(wrong, (1, 1), (1, 1)))])


numbers = st.integers(1, 65000)


@given(first=numbers, to=numbers, length=st.integers(1, 40), one=st.booleans())
def test_every_external_port_leads_to_its_internal_one(first: int, to: int, length: int, one: bool) -> None:
    external, internal = (first, first + length - 1), (to, to if one else to + length - 1)
    text = forwardings.maps([floating(forwarding("tcp", external, internal))])
    found = _leads_to(text)
    assert found == {first + n: (to if one and external != internal else to + n) for n in range(length)}


def _leads_to(text: str) -> dict[int, int]:
    """Return external port -> internal port, as the maps of what comes in say it."""
    found = {}
    for name in ("forwarded_ports", "forwarded_ranges"):
        block = text.partition(f"map {name} {{")[2].partition("\n  }")[0]
        elements = block.partition("elements = { ")[2].partition(" }")[0]
        for element in filter(None, elements.split(", ")):
            key, _, value = element.partition(" : ")
            first, _, last = key.split(" . ")[2].partition("-")
            to = value.split(" . ")[1:]
            found.update(
                {port: int(to[0]) if to else port for port in range(int(first), int(last or first) + 1)}
            )
    return found
