"""Answers instances' requests for metadata, which haproxy hands on on the loopback."""

import hmac
import http.client
import http.server
import logging

from deuteron.agent.metadata import documents, nova
from deuteron.agent.metadata.directory import Directory, canonical
from deuteron.agent.metadata.render import NETWORK_HEADER, SECRET_HEADER
from deuteron.plan.units import Instance

log = logging.getLogger(__name__)

_BODY_LIMIT = 1 << 16


class Responder(http.server.ThreadingHTTPServer):
    """An HTTP server on the loopback, for haproxy alone, which it knows by a secret."""

    request_queue_size = 256

    def __init__(
        self, port: int, secret: str, directory: Directory, zone: str, service: nova.Nova | None
    ) -> None:
        """Listen; `service` is Nova's, if it shall be asked. Raises OSError when the port is taken."""
        self.secret = secret
        self.directory = directory
        self.zone = zone
        self.service = service
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Responder
    server_version = "Deuteron"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _BODY_LIMIT:
            self._send(413, "text/plain", b"Content-Length is missing or too large\n")
            return
        self._respond(self.rfile.read(int(length)))

    def _respond(self, body: bytes) -> None:
        if not hmac.compare_digest(self.headers.get(SECRET_HEADER, ""), self.server.secret):
            self._send(403, "text/plain", b"metadata is answered to instances alone\n")
            return
        network = self.headers.get(NETWORK_HEADER, "")
        address = canonical(self.headers.get("X-Forwarded-For", ""))
        instance = self.server.directory.find(network, address)
        if instance is None:
            log.warning("metadata: no instance known with the address %s on network %s", address, network)
            self._send(404, "text/plain", b"no instance is known by this address\n")
        elif self.server.service:
            self._ask_nova(self.server.service, instance, address, body)
        elif self.command != "GET":
            self._send(405, "text/plain", b"only GET is answered\n")
        else:
            machine = documents.Machine(instance, self.server.directory.ports(instance), self.server.zone)
            found = documents.answer(machine, self.path)
            self._send(200, *found) if found else self._send(404, "text/plain", b"no such metadata\n")

    def _ask_nova(self, service: nova.Nova, instance: Instance, address: str, body: bytes) -> None:
        try:
            answer = nova.ask(service, instance, address, self.command, self.path, body)
        except (OSError, http.client.HTTPException) as error:
            log.error("metadata: Nova at %s:%d: %s", service.host, service.port, error)
            answer = (502, "text/plain", b"Nova's metadata service cannot be reached\n")
        self._send(*answer)

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - http.server's name
        log.debug(format, *words)
