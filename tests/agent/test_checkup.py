"""This host is checked as it is."""

from pathlib import Path

import pytest

from deuteron.agent import checkup, preflight
from deuteron.agent.checkup import Cloud, check
from deuteron.agent.settings import AgentSettings
from deuteron.findings import Finding

CLOUD = Cloud(agent_down_time=10, global_physnet_mtu=1500, ha_vrrp_advert_ms=20)
HERE = AgentSettings(host="h", local_ip="127.0.0.1")


def find(found: list[Finding], words: str) -> Finding:
    return next(one for one in found if words in one.text)


def test_a_configuration_that_cannot_be_used_is_the_only_finding() -> None:
    (found,) = check(AgentSettings(), CLOUD)
    assert (found.level, found.group) == ("fail", "this host")
    assert "local_ip" in found.text


@pytest.mark.lab
def test_this_machine() -> None:
    found = check(HERE, CLOUD)
    assert find(found, "programs, kernel features").level == "ok"
    assert find(found, "MTU is 65536").level == "ok"
    assert find(found, "reports every 2 s").level == "ok"
    assert find(found, "clock").level in ("ok", "warn")
    assert all(one.fix for one in found if one.level != "ok")


@pytest.mark.lab
def test_a_kernel_that_does_not_tell_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_CT_GET_STATS", 1 << 8 | 200)  # which no kernel knows
    found = find(check(HERE, CLOUD), "does not tell of connections")
    assert found.level == "fail"


@pytest.mark.lab
def test_settings_that_do_not_fit_the_servers() -> None:
    found = check(
        AgentSettings(local_ip="127.0.0.1", report_interval=6.0, uplink_check_interval=0),
        Cloud(agent_down_time=10, global_physnet_mtu=70000, ha_vrrp_advert_ms=20),
    )
    assert find(found, "one lost report makes it dead").level == "fail"
    assert find(found, "next hops are not asked").level == "warn"
    mtu = find(found, "lo has an MTU of 65536, VXLAN needs 70000")
    assert (mtu.level, mtu.fix) == (
        "fail",
        "ip link set lo mtu 70000, or [server] global_physnet_mtu = 65536",
    )


@pytest.mark.parametrize(
    ("runtime", "level", "words"),
    [
        ("950000", "ok", "pause for 50 ms in 1000 ms"),
        ("-1", "ok", "pause for 0 ms in 1000 ms"),
        ("500000", "fail", "pause for 500 ms in 1000 ms: longer than 60 ms"),
    ],
)
def test_real_time_throttling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, level: str, words: str
) -> None:
    (tmp_path / "sched_rt_period_us").write_text("1000000\n")
    (tmp_path / "sched_rt_runtime_us").write_text(f"{runtime}\n")
    monkeypatch.setattr(checkup, "_SCHED", tmp_path)
    assert find(list(checkup._real_time(CLOUD)), words).level == level
