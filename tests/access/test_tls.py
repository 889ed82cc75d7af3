"""TLS: of the server, of the command and of the agents. The certificates are openssl's."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deuteron.agent.settings import AgentSettings, parse
from deuteron.cli.client import Failed, NoAnswer, ask
from deuteron.config import ConfigError
from tests.access.agent import agent

COMMAND = (str(Path(sys.executable).parent / "deuteron"), "server")


@dataclass(frozen=True)
class _Files:
    cert: Path
    key: Path


def _certificate(directory: Path, name: str) -> _Files:
    files = _Files(directory / f"{name}.crt", directory / f"{name}.key")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-days", "1", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-keyout", str(files.key), "-out", str(files.cert)]
    subprocess.run(argv, check=True, capture_output=True)
    return files


def _server(directory: Path, *settings: str) -> subprocess.Popen[str]:
    config = directory / "deuteron.toml"
    config.write_text("\n".join(["[server]", 'listen = ["127.0.0.1:0"]', *settings]) + "\n")
    argv = [*COMMAND, "--config", str(config), "--database", f"sqlite:///{directory / 'db'}"]
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, _Files]]:
    files = _certificate(tmp_path, "server")
    server = _server(tmp_path, f'ssl_cert_file = "{files.cert}"', f'ssl_key_file = "{files.key}"')
    try:
        assert server.stderr
        line = next(line for line in server.stderr if "serving on" in line)
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield line.partition("serving on ")[2].partition(",")[0], files
    finally:
        server.terminate()
        server.wait(100)


def test_the_command_and_an_agent_trust_only_the_certificate_that_they_are_told(
    served: tuple[str, _Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, files = served
    assert endpoint.startswith("https://127.0.0.1:")
    monkeypatch.setenv("OS_CACERT", str(files.cert))
    versions = ask(endpoint, "GET", "/v2.0/networks")
    assert versions == {"networks": []}
    assert ask(endpoint, "GET", "/")["versions"][0]["links"][0]["href"].startswith(endpoint)

    settings = AgentSettings(server=endpoint, host="h", cafile=str(files.cert), local_ip="127.0.0.1")
    with agent(settings) as says:
        assert next(says) == "planned"
        assert next(says) == "reported"
    assert [one["name"] for one in ask(endpoint, "GET", "/v1/status")["hosts"]] == ["h"]

    monkeypatch.setenv("OS_CACERT", str(_certificate(tmp_path, "other").cert))
    with pytest.raises(NoAnswer, match="certificate verify failed"):
        ask(endpoint, "GET", "/v2.0/networks")
    with pytest.raises(NoAnswer):
        ask(endpoint.replace("https", "http"), "GET", "/v2.0/networks")


def test_files_that_are_no_certificates_are_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, other = _certificate(tmp_path, "one"), _certificate(tmp_path, "other")
    wrong = [
        (f'ssl_cert_file = "{tmp_path}/nothing"', "No such file"),
        (f'ssl_cert_file = "{files.cert}"\nssl_key_file = "{other.key}"', "no certificate with its key"),
        (f'ssl_key_file = "{files.key}"', "ssl_cert_file is not"),
    ]
    for settings, said in wrong:
        server = _server(tmp_path, settings)
        _, words = server.communicate(timeout=300)
        assert server.returncode == 2
        assert said in words
    monkeypatch.setenv("OS_CACERT", str(tmp_path / "nothing"))
    with pytest.raises(Failed, match="OS_CACERT="):
        ask("https://127.0.0.1:1", "GET", "/")
    for endpoint, cafile in (("https://127.0.0.1:1", "/nothing"), ("http://127.0.0.1:1", str(files.cert))):
        with pytest.raises(ConfigError, match="cafile"):
            parse(AgentSettings(server=endpoint, cafile=cafile, local_ip="127.0.0.1"))
