"""Names of collections as clients spell them: `network-segment-ranges` is `network_segment_ranges`."""

from collections.abc import Iterable, Mapping

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

_BELOW = "/v2.0/"


class Spelling:
    """ASGI middleware: requests below /v2.0 go on with the path of a route.

    As in Neutron - and _ are one in the name of a collection, whether of its own or below an object, and a /
    at the end says nothing. (Except after `tags`: there it is a tag without a name, and not all of them.)
    """

    def __init__(self, app: ASGIApp, routes: Iterable[Route]) -> None:
        self.app = app
        self.names, self.prefixes = _names([route.path for route in routes])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] == "http" and scope["path"].startswith(_BELOW):
            scope = {**scope, "path": self.canonical(scope["path"])}
        await self.app(scope, receive, send)

    def canonical(self, path: str) -> str:
        """Return a path as the routes spell it."""
        parts = path.removeprefix(_BELOW).split("/")
        first = 1 if parts[0] in self.prefixes else 0
        for place in (first, first + 2):
            if place < len(parts):
                parts[place] = self.names.get(parts[place].replace("-", "_"), parts[place])
        if parts[-1] == "" and 1 < len(parts) <= first + 4 and parts[-2] != "tags":
            parts.pop()
        return _BELOW + "/".join(parts)


def _names(paths: Iterable[str]) -> tuple[Mapping[str, str], frozenset[str]]:
    """Return all names in paths, by what they are with _ for -, and those that only precede a collection."""
    split = [path.removeprefix(_BELOW).split("/") for path in paths if path.startswith(_BELOW)]
    names = {part.replace("-", "_"): part for parts in split for part in parts if "{" not in part}
    alone = {parts[0] for parts in split if len(parts) == 1}
    deeper = {parts[0] for parts in split if len(parts) > 1 and "{" not in parts[1]}
    return names, frozenset(deeper - alone)
