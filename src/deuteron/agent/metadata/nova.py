"""Asks Nova's metadata service on behalf of an instance."""

import hashlib
import hmac
import http.client
from dataclasses import dataclass

from deuteron.plan.units import Instance

_TIMEOUT = 30.0


@dataclass(frozen=True)
class Nova:
    """Where Nova's metadata service is, and the secret that it shares with us."""

    host: str
    port: int
    secret: str


def ask(
    nova: Nova, instance: Instance, address: str, method: str, path: str, body: bytes
) -> tuple[int, str, bytes]:
    """Forward a request of an instance; return status, content type and body.

    Raises OSError or http.client.HTTPException when Nova cannot be reached.
    """
    signature = hmac.new(nova.secret.encode(), instance.instance_id.encode(), hashlib.sha256).hexdigest()
    headers = {
        "X-Forwarded-For": _known_as(instance, address),
        "X-Instance-ID": instance.instance_id,
        "X-Tenant-ID": instance.project_id,
        "X-Instance-ID-Signature": signature,
    }
    connection = http.client.HTTPConnection(nova.host, nova.port, timeout=_TIMEOUT)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type") or "text/plain", response.read()
    finally:
        connection.close()


def _known_as(instance: Instance, address: str) -> str:
    """Return an address that Nova knows the instance by: a link-local one says nothing to it."""
    fixed = [one.address.partition("/")[0] for one in instance.addresses]
    fixed.sort(key=lambda text: ":" in text)
    return fixed[0] if fixed and address not in fixed else address
