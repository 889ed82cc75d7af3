"""Who may do what with resources that live below another: whoever may with that one."""

from typing import Any

from tests.access.conftest import Users


def test_port_forwardings_are_their_floating_ips_owners(users: Users) -> None:
    admin, member = users.admin, users.member
    external = admin.make("network", router__external=True)["id"]
    admin.make("subnet", network_id=external, ip_version=4, cidr="203.0.113.0/24")
    network = member.make("network")["id"]
    subnet = member.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")["id"]
    router = member.make("router", external_gateway_info={"network_id": external})["id"]
    member.put(f"/routers/{router}/add_router_interface", {"subnet_id": subnet})
    port = member.make("port", network_id=network)
    floating = member.make("floatingip", floating_network_id=external)["id"]
    path = f"/floatingips/{floating}/port_forwardings"

    def body(number: int) -> dict[str, Any]:
        wanted = {
            "protocol": "tcp",
            "internal_port_id": port["id"],
            "internal_ip_address": port["fixed_ips"][0]["ip_address"],
            "internal_port": number,
            "external_port": number,
        }
        return {"port_forwarding": wanted}

    one = f"{path}/{member.post(path, body(1)).body['port_forwarding']['id']}"
    assert admin.post(path, body(2)).status == 201
    # Who may make none at all is told so, whatever floating IP it names.
    for user, read, make, write in (
        (users.reader, 200, 403, 403),
        (users.stranger, 404, 404, 404),
        (users.service, 404, 403, 404),
        (users.nobody, 404, 403, 404),
    ):
        assert user.get(path).status == read
        assert user.get(one).status == read
        assert user.post(path, body(3)).status == make
        assert user.put(one, {"port_forwarding": {"external_port": 4}}).status == write
        assert user.delete(one).status == write
    assert len(users.reader.get(path).body["port_forwardings"]) == 2
    assert len(users.reader.get(f"/floatingips/{floating}").body["floatingip"]["port_forwardings"]) == 2
    hers = users.stranger.make("floatingip", floating_network_id=external)["id"]
    stolen = users.stranger.post(f"/floatingips/{hers}/port_forwardings", body(5))
    assert (stolen.status, stolen.error) == (404, "PortNotFound")
    elsewhere = users.stranger.delete(f"/floatingips/{hers}/port_forwardings/{one.rpartition('/')[2]}")
    assert elsewhere.status == 404
    assert member.delete(one).status == 204
