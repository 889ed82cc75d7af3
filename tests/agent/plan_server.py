"""A plan server for tests: it speaks the agent protocol and says what the test tells it."""

import http.server
import socket
import threading
from typing import Any

import msgspec

from deuteron.plan.units import Delete, InSync, Keepalive, Message, Put, Report, Snapshot, Unit

_encoder = msgspec.json.Encoder()


class PlanServer:
    """Plans of one host, by revision numbers; streams to whoever asks, keeps the reports."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.units: dict[str, Unit] = {}
        self.history: list[list[Message]] = []
        self.reports: list[Report] = []
        self.problems: dict[str, str] = {}
        self.ports_up: set[str] = set()
        self.applied = ""
        self.requests: list[str] = []
        self.silent = False
        self._servers: list[http.server.ThreadingHTTPServer] = []

    @property
    def revision(self) -> str:
        return f"r{len(self.history)}"

    def put(self, *units: Unit) -> str:
        """Plan units, all at once; return the revision."""
        with self.changed:
            self.units.update({unit.key: unit for unit in units})
            self.history.append([Put(unit) for unit in units])
            self.changed.notify_all()
            return self.revision

    def delete(self, *keys: str) -> str:
        with self.changed:
            for key in keys:
                del self.units[key]
            self.history.append([Delete(key) for key in keys])
            self.changed.notify_all()
            return self.revision

    def serve(self, listener: socket.socket) -> None:
        """Serve on a socket until stop()."""
        plans = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                plans.stream(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                plans.take(msgspec.json.decode(body, type=Report))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.daemon_threads = True
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be gone: no new connections, and those that are open end."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers.clear()
        with self.changed:
            self.changed.notify_all()

    def take(self, report: Report) -> None:
        with self.changed:
            self.reports.append(report)
            self.problems = report.problems
            self.applied = report.revision
            if report.full:
                self.ports_up = set()
            self.ports_up |= set(report.ports_up)
            self.ports_up -= set(report.ports_down)
            self.changed.notify_all()

    def stream(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        servers = list(self._servers)
        since = handler.path.partition("since=")[2]
        with self.changed:
            position = len(self.history)
            known = since.startswith("r") and int(since[1:]) <= position
            if known:
                position = int(since[1:])
                first: list[Message] = []
            else:
                first = [Snapshot(), *(Put(unit) for unit in self.units.values()), InSync(self.revision)]
        try:
            self._send(handler, first)
            while self._servers == servers:
                with self.changed:
                    if position == len(self.history) or self.silent:
                        self.changed.wait(1)
                    if self.silent:
                        continue
                    news = [message for batch in self.history[position:] for message in batch]
                    position = len(self.history)
                    revision = self.revision
                self._send(handler, [*news, InSync(revision)] if news else [Keepalive()])
        except OSError:
            pass
        handler.close_connection = True

    @staticmethod
    def _send(handler: http.server.BaseHTTPRequestHandler, messages: list[Message]) -> None:
        data = b"".join(_encoder.encode(message) + b"\n" for message in messages)
        if data:
            handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            handler.wfile.flush()
