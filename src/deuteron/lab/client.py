"""A small client of the API, for what the lab itself builds. Standard library only."""

import http.client
import json
import urllib.parse
from typing import Any

from deuteron.lab.topology import LabError


class ApiError(LabError):
    """The API refused a request; `status` is the HTTP status, 0 when there was no answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """Speaks to one endpoint, a connection for each request. Every method raises ApiError."""

    def __init__(self, endpoint: str, timeout: float = 20.0) -> None:
        parts = urllib.parse.urlsplit(endpoint)
        if parts.scheme != "http" or not parts.hostname:
            raise LabError(f"{endpoint!r} is not an address of the form http://HOST:PORT")
        self.endpoint = endpoint
        self._address = (parts.hostname, parts.port or 80)
        self._timeout = timeout

    def get(self, path: str, **query: str) -> Any:
        """Return what a path shows."""
        return self.request("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def post(self, path: str, body: Any) -> Any:
        """Create or do something; return the answer."""
        return self.request("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        """Change something; return the answer."""
        return self.request("PUT", path, body)

    def delete(self, path: str) -> None:
        """Remove something."""
        self.request("DELETE", path)

    def create(self, kind: str, **attributes: Any) -> dict[str, Any]:
        """Create a Neutron resource, given by its singular name, and return it."""
        answer: dict[str, Any] = self.post(f"/v2.0/{kind.replace('_', '-')}s", {kind: attributes})[kind]
        return answer

    def find(self, kind: str, name_or_id: str) -> dict[str, Any]:
        """Return the one resource of that id or name."""
        for attribute in ("id", "name"):
            listed = self.get(f"/v2.0/{kind.replace('_', '-')}s", **{attribute: name_or_id})
            found: list[dict[str, Any]] = listed[f"{kind}s"]
            if len(found) == 1:
                return found[0]
            if found:
                raise ApiError(409, f"there are {len(found)} {kind}s named {name_or_id!r}: give the id")
        raise ApiError(404, f"there is no {kind} {name_or_id!r}")

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return the decoded answer, None when it is empty."""
        connection = http.client.HTTPConnection(*self._address, timeout=self._timeout)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ApiError(0, f"{method} {self.endpoint}{path}: no answer ({reason})") from None
        finally:
            connection.close()
        if response.status >= 400:
            text = f"{method} {path}: {response.status} {_message(data)}"
            raise ApiError(response.status, text)
        try:
            return json.loads(data) if data else None
        except ValueError:
            raise ApiError(response.status, f"{method} {path}: the answer is not JSON") from None


def _message(data: bytes) -> str:
    try:
        error = json.loads(data)["NeutronError"]
        return f"{error['type']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return data[:300].decode(errors="replace")
