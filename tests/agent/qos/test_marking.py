"""Packet rates and marks as chains."""

import subprocess
from pathlib import Path

import pytest

from deuteron.agent.qos import marking
from deuteron.agent.qos.marking import NONE, Rules
from deuteron.plan.units import Limit, Qos

GOLDEN = Path(__file__).with_name("golden.nft")
UNIT = Qos(
    id="0123456789ab-x",
    mtu=1500,
    packets=(Limit(direction="egress", rate=5), Limit(direction="ingress", rate=5, burst=1)),
    dscp=26,
)


def _whole(*units: Qos) -> str:
    changes = ((unit.id, NONE, marking.rules(unit)) for unit in units)
    return "\n".join([marking.FRAME, *marking.commands(changes)]) + "\n"


def test_the_table() -> None:
    assert _whole(UNIT) == GOLDEN.read_text()


def test_only_what_changes_is_written() -> None:
    old, new = marking.rules(UNIT), Rules(sent=("ip dscp set 8",))
    assert list(marking.commands([("0123456789ab-x", old, old)])) == []
    assert list(marking.commands([("0123456789ab-x", old, new)])) == [
        "flush chain bridge deuteron_qos from-tap0123456789a",
        "add rule bridge deuteron_qos from-tap0123456789a ip dscp set 8",
        'delete element bridge deuteron_qos to { "tap0123456789a" }',
        "flush chain bridge deuteron_qos to-tap0123456789a",
        "delete chain bridge deuteron_qos to-tap0123456789a",
    ]
    assert marking.devices({"0123456789ab-x": new}, marking.FROM) == {"tap0123456789a"}
    assert marking.devices({"0123456789ab-x": new}, marking.TO) == set()


@pytest.mark.lab
def test_nftables_understands_it() -> None:
    most = Qos(id="f" * 20, mtu=1500, packets=(Limit(direction="egress", rate=2**31 - 1, burst=2**31 - 1),))
    subprocess.run(["nft", "-c", "-f", "-"], input=_whole(UNIT, most), text=True, check=True)
