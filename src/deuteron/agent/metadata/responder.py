"""Answers instances' requests for metadata, which haproxy hands on on the loopback."""

import hmac
import http.client
import http.server
import ipaddress
import logging
import threading

from deuteron.agent import names
from deuteron.agent.metadata import documents, nova
from deuteron.agent.metadata.render import NAMESPACE_HEADER, SECRET_HEADER
from deuteron.plan.units import Instance, Router

log = logging.getLogger(__name__)

_BODY_LIMIT = 1 << 16
_PATIENCE = 20.0
"""Seconds for which a request waits until an agent that has just started knows its plan."""


class Directory:
    """Who is who: the instance behind an address that was seen in a namespace. For any thread."""

    def __init__(self) -> None:
        self.complete = threading.Event()
        """Set when the plan is known in full; until then, whoever asks waits."""
        self._lock = threading.Lock()
        self._instances: dict[str, Instance] = {}  # port -> instance
        self._by_address: dict[tuple[str, str], str] = {}  # (network, address) -> port
        self._networks: dict[str, tuple[str, ...]] = {}  # namespace -> networks

    def put_instance(self, instance: Instance) -> None:
        """Note an instance."""
        with self._lock:
            self._forget(instance.id)
            self._instances[instance.id] = instance
            for address in instance.addresses:
                self._by_address[instance.network, _canonical(address)] = instance.id

    def delete_instance(self, port: str) -> None:
        """Forget the instance behind a port."""
        with self._lock:
            self._forget(port)

    def put_router(self, router: Router) -> None:
        """Note which networks meet in a router's namespace."""
        with self._lock:
            networks = tuple(sorted({port.network for port in router.interfaces}))
            self._networks[names.router_namespace(router.id)] = networks

    def put_network(self, network: str) -> None:
        """Note that a DHCP server's namespace serves metadata to its network."""
        with self._lock:
            self._networks[names.dhcp_namespace(network)] = (network,)

    def delete_namespace(self, namespace: str) -> None:
        """Forget a namespace."""
        with self._lock:
            self._networks.pop(namespace, None)

    def find(self, namespace: str, address: str) -> Instance | None:
        """Return the instance that has an address in one of the networks of a namespace."""
        self.complete.wait(_PATIENCE)
        with self._lock:
            for network in self._networks.get(namespace, ()):
                port = self._by_address.get((network, _canonical(address)))
                if port is not None:
                    return self._instances[port]
        return None

    def _forget(self, port: str) -> None:
        before = self._instances.pop(port, None)
        if before is None:
            return
        for address in before.addresses:
            if self._by_address.get((before.network, _canonical(address))) == port:
                del self._by_address[before.network, _canonical(address)]


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_interface(address).ip)
    except ValueError:
        return address


class Responder(http.server.ThreadingHTTPServer):
    """An HTTP server on the loopback, for haproxy alone, which it knows by a secret."""

    request_queue_size = 256

    def __init__(self, port: int, secret: str, directory: Directory, service: nova.Nova | None) -> None:
        """Listen; `service` is Nova's, if it shall be asked. Raises OSError when the port is taken."""
        self.secret = secret
        self.instances = directory
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
        namespace = self.headers.get(NAMESPACE_HEADER, "")
        address = self.headers.get("X-Forwarded-For", "")
        instance = self.server.instances.find(namespace, address)
        if instance is None:
            log.warning("metadata: no instance known with the address %s in %s", address, namespace)
            self._send(404, "text/plain", b"no instance is known by this address\n")
        elif self.server.service:
            self._ask_nova(self.server.service, instance, address, body)
        elif self.command != "GET":
            self._send(405, "text/plain", b"only GET is answered\n")
        else:
            found = documents.answer(instance, self.path)
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
