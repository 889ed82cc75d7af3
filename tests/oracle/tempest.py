"""`make tempest`: OpenStack's own tests of the network API, with a real Keystone, against this server.

The agents of two hosts speak the real protocol and only pretend to build anything: the API is judged. Without
arguments it runs the tests that `tempest.txt` lists, with --smoke those of them that OpenStack calls smoke
tests, and each of them must pass; with --all it runs all of the suite and says which do not, with --neutron
all of the API tests of Neutron's own plugin for tempest, of which those must fail that `neutron.toml` names,
with a reason each. Keystone and tempest are in a virtual environment of their own.
"""

import argparse
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import msgspec

from deuteron.plan.units import Dhcp, Router
from deuteron.resources import registry
from deuteron.settings import KeystoneSettings, ServerSettings
from deuteron.store import Database
from deuteron.store.migrate import prepare
from tests.access.real_keystone import PASSWORD, Identity, serving
from tests.agents_api.conftest import Agent, running

LIST = Path(__file__).with_name("tempest.txt")
FAILING = Path(__file__).with_name("neutron.toml")
SUITE = r"^tempest\.api\.network\."
NEUTRON = r"^neutron_tempest_plugin\.api\."
SETTINGS: Mapping[str, Any] = {
    "auth": "keystone",
    "dns_domain": "openstackgate.local.",
    "flat_networks": ("public",),
    "network_vlan_ranges": ("datacentre:100:199",),
    "quota_router": 100,
    "quota_floatingip": 500,
    "quota_security_group": 150,
    "quota_security_group_rule": 1000,
    "strict_router_mode_change": True,
}
"""What the suite takes for granted of a cloud."""


def main() -> int:
    """Run the tests; return 0 if all that must pass did."""
    parser = argparse.ArgumentParser(prog="make tempest", description="Let tempest judge the API.")
    parser.add_argument(
        "--openstack",
        default=Path(".openstack"),
        type=Path,
        help="virtual environment of Keystone and tempest",
    )
    parser.add_argument("--smoke", action="store_true", help="of what must pass only the smoke tests")
    parser.add_argument("--all", action="store_true", help="all of the suite, not only what must pass")
    parser.add_argument("--neutron", action="store_true", help="the API tests of Neutron's own plugin")
    parser.add_argument("--regex", help="only these tests of a suite")
    parser.add_argument("--concurrency", default=2, type=int, help="tests at the same time")
    arguments = parser.parse_args()
    suite = arguments.regex or (NEUTRON if arguments.neutron else SUITE if arguments.all else "")
    must = [] if suite else _listed(arguments.smoke)
    programs = arguments.openstack.resolve() / "bin"
    root = Path(tempfile.mkdtemp(prefix="deuteron-tempest-"))
    try:
        with _cloud(root, programs) as (identity, port):
            network = f"http://127.0.0.1:{port}"
            public = _furnish(identity, network)
            _configure(root, identity, network, public)
            (root / "tests").write_text("\n".join(must))
            words = ["--regex", suite] if suite else ["--load-list", f"{root}/tests"]
            results = _run(root, programs / "tempest", arguments.concurrency, words)
    finally:
        shutil.rmtree(root)
    return judge(results, must, _failing())


def _failing() -> set[str]:
    """Return the tests that fail for a reason."""
    told = tomllib.loads(FAILING.read_text())["neutron_tempest_plugin"]["api"]
    return {f"neutron_tempest_plugin.api.{test}" for test in told}


def _listed(smoke: bool) -> list[str]:
    """Return the tests that must pass, or the smoke tests of them: names with what tempest knows them by."""
    tests = LIST.read_text().split()
    return [test for test in tests if test.endswith(",smoke]")] if smoke else tests


class _Agent(Agent):
    """May carry distributed routers, and says that the ports of its DHCP servers and routers are up."""

    def tell(self, **more: Any) -> None:
        """Report."""
        self.report = msgspec.structs.replace(self.report, agent_mode="dvr_snat", full=True)
        plan = list(self.stream.plan.values())
        up = {unit.port for unit in plan if isinstance(unit, Dhcp)}
        for unit in plan:
            if isinstance(unit, Router):
                up |= {port.id for port in (*unit.interfaces, *unit.snat_ports)}
                up |= {unit.gateway.id} if unit.gateway else set()
        super().tell(ports_up=tuple(sorted(up)), **more)


@contextlib.contextmanager
def _cloud(root: Path, programs: Path) -> Iterator[tuple[Identity, int]]:
    """Run Keystone, a server that trusts it, and two agents."""
    registry.load()
    db = Database(f"sqlite:///{root}/deuteron.db")
    prepare(db)
    (root / "keystone").mkdir()
    with serving(root / "keystone", programs) as identity:
        keystone = KeystoneSettings(auth_url=identity.url, password=PASSWORD, http_connect_timeout=120)
        for cloud in running(db, ServerSettings(**SETTINGS), keystone):
            for host in ("host1", "host2"):
                cloud.agents[host] = _Agent(cloud, host, len(cloud.agents) + 1)
            yield identity, cloud.port
    db.close()


def _furnish(identity: Identity, network: str) -> str:
    """Make the entry of the catalogue and what is there for all; return the external network."""
    service = identity.create("service", name="neutron", type="network")
    for interface in ("public", "internal", "admin"):
        identity.create(
            "endpoint", service_id=service, interface=interface, url=network, region_id="RegionOne"
        )
    token = identity.token("admin", "admin")

    def make(path: str, kind: str, **attributes: Any) -> str:
        body = json.dumps({kind: attributes}).encode()
        request = urllib.request.Request(f"{network}/v2.0{path}", body, method="POST")
        request.add_header("X-Auth-Token", token)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)[kind]["id"])

    flat = {"provider:network_type": "flat", "provider:physical_network": "public", "router:external": True}
    public = make("/networks", "network", name="public", is_default=True, **flat)
    for version, cidr, gateway in ((4, "172.24.4.0/24", "172.24.4.1"), (6, "2001:db8::/64", "2001:db8::2")):
        make(
            "/subnets", "subnet", network_id=public, ip_version=version, cidr=cidr, gateway_ip=gateway,
            enable_dhcp=False,
        )  # fmt: skip
    for prefix, length in (("10.0.0.0/22", 26), ("fd2e:5a1b::/56", 64)):
        make(
            "/subnetpools", "subnetpool", name=f"shared {prefix}", shared=True, is_default=True,
            prefixes=[prefix], default_prefixlen=length,
        )  # fmt: skip
    return public


def _configure(root: Path, identity: Identity, network: str, public: str) -> None:
    """Write tempest.conf: a cloud of networks alone."""
    with urllib.request.urlopen(_asking(identity, f"{network}/v2.0/extensions"), timeout=60) as answer:
        aliases = sorted(one["alias"] for one in json.load(answer)["extensions"])
    (root / "locks").mkdir()
    said: dict[str, dict[str, str]] = {
        "DEFAULT": {"log_file": "tempest.log"},
        "oslo_concurrency": {"lock_path": f"{root}/locks"},
        "auth": {
            "admin_username": "admin",
            "admin_password": PASSWORD,
            "admin_project_name": "admin",
            "admin_domain_name": "Default",
            "tempest_roles": "member",
        },
        "identity": {"uri_v3": f"{identity.url}/v3", "auth_version": "v3", "v3_endpoint_type": "public"},
        "identity-feature-enabled": {"api_v2": "false"},
        "enforce_scope": {"neutron": "true"},
        "service_available": {"neutron": "true"}
        | dict.fromkeys(("nova", "glance", "cinder", "swift", "horizon"), "false"),
        "validation": {"run_validation": "false"},
        "network": {
            "public_network_id": public,
            "floating_network_name": "public",
            "project_network_cidr": "10.1.0.0/16",
        },
        "network-feature-enabled": {"ipv6_subnet_attributes": "true", "api_extensions": ",".join(aliases)},
        "neutron_plugin_options": {
            "agent_availability_zone": "nova",
            "available_type_drivers": "flat,vlan,vxlan",
            "create_shared_resources": "true",
            "dns_domain": SETTINGS["dns_domain"].rstrip("."),
            "image_is_advanced": "false",
            "provider_vlans": "datacentre",
        },
    }
    configuration = ConfigParser()
    configuration.read_dict(said)
    with (root / "tempest.conf").open("w") as file:
        configuration.write(file)


def _asking(identity: Identity, url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"X-Auth-Token": identity.token("admin", "admin")})


def _run(root: Path, tempest: Path, concurrency: int, words: list[str]) -> dict[str, str]:
    """Run tempest; return what became of each test."""
    workspace = ["--workspace-path", f"{root}/workspaces.yaml"]
    subprocess.run([tempest, "init", *workspace, root / "workspace"], check=True, capture_output=True)
    command = [
        str(tempest),
        "run",
        "--config-file",
        f"{root}/tempest.conf",
        "--concurrency",
        str(concurrency),
        *words,
    ]
    running = subprocess.Popen(command, cwd=root / "workspace", stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    results = {}
    for line in running.stdout:
        print(line, end="", flush=True)
        if found := RESULT.match(line):
            results[found["test"]] = found["result"]
    running.wait()
    return results


RESULT = re.compile(r"{\d+} (?P<test>\w+ \(\S+\)|\S+).*\.\.\. (?P<result>ok|SKIPPED|FAILED)")
"""A class that could not be set up is `setUpClass (CLASS)`."""


def judge(results: Mapping[str, str], must: Sequence[str], failing: Collection[str]) -> int:
    """Say what is otherwise than expected; return 0 if only what has a reason to fail failed, and it did."""
    expected = [test.partition("[")[0] for test in must] or list(results)
    good = ("ok",) if must else ("ok", "SKIPPED")
    wrong = [test for test in expected if (results.get(test) in good) is (test in failing)]
    for test in wrong:
        sys.stdout.write(f"{'passed after all' if test in failing else 'not passed'}: {test}\n")
    passed = sum(result == "ok" for result in results.values())
    sys.stdout.write(f"{passed} of {len(results)} passed, {len(wrong)} wrong\n")
    return 1 if wrong or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
