"""Where the server is, and how it is spoken to."""

import http.client
import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """The address of a server, and whom to trust to be it (None: speak to it without TLS)."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """Return a connection, which is made with the first request; `timeout` in seconds."""
        if self.tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)
