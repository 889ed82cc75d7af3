import pytest

from deuteron.agent.connection import Server
from deuteron.agent.settings import AgentSettings, parse
from deuteron.config import ConfigError, load


def test_what_the_texts_mean() -> None:
    settings = load(
        AgentSettings,
        "agent",
        overrides={
            "local_ip": "10.0.0.1",
            "bridge_mappings": "external:eth2, storage:eth3",
            "roles": "dhcp,l2",
        },
        environment={
            "DEUTERON_AGENT__SERVER": "http://[2001:db8::1]:9000",
            "DEUTERON_AGENT__REPORT_INTERVAL": "0.5",
        },
    )
    parsed = parse(settings)
    assert parsed.server == Server("2001:db8::1", 9000)
    assert parsed.roles == ("l2", "dhcp")
    assert parsed.bridge_mappings == {"external": "eth2", "storage": "eth3"}
    assert parsed.host
    assert settings.report_interval == 0.5


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("server", "ftp://x"),
        ("server", "http://x:port"),
        ("server", "http://x/path"),
        ("local_ip", ""),
        ("local_ip", "10.0.0"),
        ("roles", ""),
        ("roles", "l2,l4"),
        ("bridge_mappings", "external"),
        ("bridge_mappings", "a:eth1,a:eth2"),
    ],
)
def test_what_is_wrong_is_named(option: str, value: str) -> None:
    good = {"local_ip": "10.0.0.1", "server": "http://x"}
    with pytest.raises(ConfigError, match=option):
        parse(load(AgentSettings, "agent", overrides={**good, option: value}, environment={}))
