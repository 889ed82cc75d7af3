import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.metadata import documents, render
from deuteron.agent.metadata.responder import Directory
from deuteron.plan.units import Instance, Router, RouterPort

GOLDEN = Path(__file__).parent / "golden"
WORKER, RESPONDER = render.Worker("haproxy", "haproxy"), render.Responder(9697, "s3cret")
INSTANCE = Instance(
    id="p1",
    network="n1",
    addresses=("10.1.0.5", "2001:db8::5"),
    instance_id="uuid-1",
    project_id="project-1",
    hostname="vm1",
    user_data="aGVsbG8K",
    public_keys={"me": "ssh-ed25519 AAAA me", "you": "ssh-rsa BBBB you"},
    metadata={"role": "web"},
)


def get(path: str, instance: Instance = INSTANCE) -> str | None:
    found = documents.answer(instance, path)
    return found and found[1].decode()


def test_openstack_s_form() -> None:
    data = json.loads(get("/openstack/latest/meta_data.json") or "")
    assert data["uuid"] == "uuid-1"
    assert data["hostname"] == data["name"] == "vm1"
    assert data["project_id"] == "project-1"
    assert data["meta"] == {"role": "web"}
    assert data["public_keys"] == INSTANCE.public_keys
    assert data["keys"][0] == {"name": "me", "type": "ssh", "data": "ssh-ed25519 AAAA me"}
    assert (get("/openstack") or "").splitlines()[-1] == "latest"
    assert "user_data" in (get("/openstack/2015-10-15/") or "")
    assert get("/openstack/latest/user_data") == "hello\n"
    assert get("/openstack/latest/vendor_data.json") == "{}"
    assert json.loads(get("/openstack/latest/network_data.json") or "")["networks"] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("instance-id", "uuid-1"),
        ("hostname", "vm1"),
        ("local-ipv4", "10.1.0.5"),
        ("public-keys/", "0=me\n1=you"),
        ("public-keys/1/", "openssh-key"),
        ("public-keys/1/openssh-key", "ssh-rsa BBBB you"),
        ("", "hostname\ninstance-id\nlocal-hostname\nlocal-ipv4\npublic-keys/"),
    ],
)
def test_ec2_s_form(path: str, text: str) -> None:
    assert get(f"/latest/meta-data/{path}") == text
    assert get(f"/2009-04-04/meta-data/{path}") == text


def test_user_data_is_absent_when_there_is_none() -> None:
    bare = Instance(
        id="p", network="n", addresses=(), instance_id="i", project_id="p", hostname="h", user_data=None
    )
    assert get("/latest/user-data", bare) is None
    assert get("/openstack/latest/user_data", bare) is None
    assert get("/latest/user-data") == "hello\n"


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["latest", "openstack", "meta-data", "public-keys", "9", ".."])).map("/".join)
)
def test_any_path_is_answered_or_not_there(path: str) -> None:
    documents.answer(INSTANCE, path)


def test_who_asks_is_known_by_namespace_and_address() -> None:
    known = Directory()
    known.complete.set()
    known.put_instance(INSTANCE)
    port = RouterPort(id="rp", network="n1", mac="02:00:00:00:00:01", mtu=1450, addresses=("10.1.0.1/24",))
    known.put_router(Router(id="r1", number=1, interfaces=(port,)))
    known.put_network("n2")
    assert known.find("qrouter-r1", "10.1.0.5") == INSTANCE
    assert known.find("qrouter-r1", "2001:DB8::5") == INSTANCE
    assert known.find("qdhcp-n2", "10.1.0.5") is None
    assert known.find("qrouter-r1", "10.1.0.6") is None
    assert known.find("", "") is None
    known.delete_instance("p1")
    assert known.find("qrouter-r1", "10.1.0.5") is None


def test_haproxy_s_configuration_is_as_it_was_looked_at() -> None:
    text = render.config(
        {"qrouter-r1": 4026532, "qdhcp-n1": 4026533}, Path("/run/deuteron/metadata"), WORKER, RESPONDER
    )
    assert text == (GOLDEN / "haproxy.cfg").read_text()
    assert render.bound(text) == {"qrouter-r1": 4026532, "qdhcp-n1": 4026533}
    assert render.description(text) == "c2f08fc5ae685f39"


def test_haproxy_accepts_it(tmp_path: Path) -> None:
    text = render.config({}, tmp_path, WORKER, RESPONDER)
    # Namespaces would have to be there for the check.
    text = text.replace(
        "frontend instances\n", "frontend instances\n    bind 127.0.0.1:18080 name qrouter-r1\n"
    )
    (tmp_path / "haproxy.cfg").write_text(text)
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "WARNING" not in done.stderr


@given(st.text(max_size=20))
def test_no_name_of_a_namespace_adds_a_line(name: str) -> None:
    try:
        text = render.config({name: 1}, Path("/d"), WORKER, RESPONDER)
    except ValueError:
        return
    assert len(text.splitlines()) == len(render.config({"x": 1}, Path("/d"), WORKER, RESPONDER).splitlines())
