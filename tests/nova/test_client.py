"""How Nova is found, and what it says."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from deuteron.config import ConfigError
from deuteron.nova import client
from deuteron.nova.client import NovaDoesNotTake, NovaRefuses
from deuteron.settings import NovaSettings
from tests.access.keystone_double import Keystone
from tests.nova.nova_double import Event, Nova


def _event(server: str, name: str = "network-vif-plugged") -> Event:
    return {"name": name, "server_uuid": server, "tag": "port", "status": "completed"}


def test_nova_is_found_in_the_catalogue_and_says_what_it_took(nova: Nova, settings: NovaSettings) -> None:
    here, nowhere = nova.server(), nova.server(on_a_host=False)
    unknown = "11111111-1111-4111-8111-111111111111"
    asked = client.Nova(settings)
    assert asked.tell([_event(here), _event(unknown), _event(nowhere)]) == [200, 404, 422]
    assert nova.told == [_event(here)]
    assert asked.tell([_event(here)]) == [200]
    assert nova.requests == [207, 200]


def test_a_token_that_has_been_revoked_is_replaced(
    nova: Nova, keystone: Keystone, settings: NovaSettings
) -> None:
    asked = client.Nova(settings)
    server = nova.server()
    asked.tell([_event(server)])
    keystone.tokens.clear()
    assert asked.tell([_event(server)]) == [200]
    assert nova.requests == [200, 401, 200]


def test_what_cannot_be_told_now(nova: Nova, keystone: Keystone, settings: NovaSettings) -> None:
    event = _event(nova.server())
    nova.down = True
    with pytest.raises(NovaDoesNotTake, match="503"):
        client.Nova(settings).tell([event])
    keystone.down = True
    with pytest.raises(NovaDoesNotTake):
        client.Nova(settings).tell([event])
    keystone.down = nova.down = False
    elsewhere = msgspec.structs.replace(settings, region_name="two")
    with pytest.raises(NovaDoesNotTake, match="compute"):
        client.Nova(elsewhere).tell([event])
    wrong = msgspec.structs.replace(settings, endpoint_override=nova.url + "/x")
    with pytest.raises(NovaDoesNotTake, match="404"):
        client.Nova(wrong).tell([event])
    gone = msgspec.structs.replace(settings, endpoint_override="http://127.0.0.1:1")
    with pytest.raises(NovaDoesNotTake):
        client.Nova(gone).tell([event])
    with pytest.raises(NovaRefuses):
        client.Nova(settings).tell([_event("no-uuid")])


def test_a_token_of_ones_own_or_none(nova: Nova, keystone: Keystone) -> None:
    token = keystone.token("service")
    shown = NovaSettings(auth_type="admin_token", token=token, endpoint_override=nova.url)
    assert client.Nova(shown).tell([_event(nova.server())]) == [200]
    open_ = Nova(lambda _: True)
    try:
        plain = NovaSettings(auth_type="none", endpoint_override=open_.url)
        assert client.Nova(plain).tell([_event(open_.server())]) == [200]
    finally:
        open_.close()


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        (NovaSettings(), "auth_url"),
        (NovaSettings(auth_type="none"), "endpoint_override"),
        (NovaSettings(auth_type="admin_token", endpoint_override="http://x"), "token"),
    ],
)
def test_what_is_missing_is_named(settings: NovaSettings, option: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[nova\] {option}"):
        client.Nova(settings)


def test_a_server_that_is_to_tell_nobody_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "deuteron.toml"
    config.write_text("[server]\nlisten = ['127.0.0.1:0']\nnotify_nova_on_port_data_changes = true\n")
    command = [str(Path(sys.executable).with_name("deuteron")), "server", "--config", str(config)]
    command += ["--database", f"sqlite:///{tmp_path / 'db'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "[nova] auth_url" in done.stderr
