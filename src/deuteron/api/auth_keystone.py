"""Authentication with Keystone: a token is shown to it, and what it says is remembered a while.

A token is remembered by its SHA-256, whether it was good or not, at most until it expires. Requests that come
with the same unknown token wait for one answer. A service that passes a user's request on shows its own token
too (`X-Service-Token`): then the user's counts even if it has expired meanwhile.
"""

import asyncio
import datetime
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3
from starlette.requests import Request

from deuteron.api.auth import Authenticate, Refused
from deuteron.config import ConfigError
from deuteron.policy import Who
from deuteron.settings import KeystoneSettings

log = logging.getLogger(__name__)

_REMEMBERED = 10_000
_THREADS = 4


@dataclass(frozen=True)
class _Known:
    """What Keystone said of a token: whose it is, or nobody's. Times are of time.time()."""

    who: Who | None
    expires: float
    until: float


class Keystone:
    """Asks Keystone. `ask` blocks: run it in a thread."""

    def __init__(self, settings: KeystoneSettings) -> None:
        if not settings.auth_url:
            raise ConfigError("[keystone_authtoken] auth_url: set the address of Keystone")
        base = settings.auth_url.rstrip("/")
        self._url = base if base.endswith("/v3") else f"{base}/v3"
        password = v3.Password(
            auth_url=self._url,
            username=settings.username,
            password=settings.password,
            project_name=settings.project_name,
            user_domain_id=_domain_id(settings.user_domain_id, settings.user_domain_name),
            user_domain_name=settings.user_domain_name or None,
            project_domain_id=_domain_id(settings.project_domain_id, settings.project_domain_name),
            project_domain_name=settings.project_domain_name or None,
        )
        self._retries = settings.http_request_max_retries
        self._session = session.Session(
            auth=password,
            verify=not settings.insecure and (settings.cafile or True),
            timeout=settings.http_connect_timeout,
        )

    def ask(self, token: str, allow_expired: bool) -> Mapping[str, Any] | None:
        """Return what Keystone says of a token; None if it is not good.

        Raises keystoneauth1.exceptions.ClientException when Keystone does not say.
        """
        answer = self._session.get(
            f"{self._url}/auth/tokens?nocatalog" + ("&allow_expired=1" if allow_expired else ""),
            headers={"X-Subject-Token": token, "Accept": "application/json"},
            authenticated=True,
            raise_exc=False,
            connect_retries=self._retries,
            log=False,
        )
        if answer.status_code == 200:
            found: Mapping[str, Any] = answer.json()["token"]
            return found
        if answer.status_code == 404:
            return None
        raise exceptions.from_response(answer, "GET", self._url)


def _domain_id(id_: str, name: str) -> str | None:
    return id_ or (None if name else "default")


class _Tokens:
    """What is known of tokens."""

    def __init__(self, keystone: Keystone, seconds: float) -> None:
        self._keystone = keystone
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_THREADS, "keystone")
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[_Known]] = {}

    async def whose(self, token: str, allow_expired: bool = False) -> Who | None:
        """Return whose a token is, None if it is not good. Raises keystoneauth1's ClientException."""
        now = time.time()
        key = hashlib.sha256((b"late" if allow_expired else b"") + token.encode()).digest()
        known = self._known.get(key)
        if known is None or known.until <= now:
            # Shielded: a client that goes away does not take the answer from the others.
            known = await asyncio.shield(self._ask(key, token, allow_expired))
        if known.expires <= now and not allow_expired:
            return None
        return known.who

    def _ask(self, key: bytes, token: str, allow_expired: bool) -> asyncio.Task[_Known]:
        if key not in self._asked:
            task = asyncio.create_task(self._answer(key, token, allow_expired))
            task.add_done_callback(lambda done: self._asked.pop(key, None) and done.exception())
            self._asked[key] = task
        return self._asked[key]

    async def _answer(self, key: bytes, token: str, allow_expired: bool) -> _Known:
        loop = asyncio.get_running_loop()
        said = await loop.run_in_executor(self._threads, self._keystone.ask, token, allow_expired)
        until = time.time() + self._seconds
        expires = _time(said["expires_at"]) if said else until
        known = _Known(_who(said) if said else None, expires, until)
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known


def _time(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def _who(said: Mapping[str, Any]) -> Who:
    return Who(
        user_id=said["user"]["id"],
        project_id=said.get("project", {}).get("id", ""),
        roles=frozenset(role["name"].lower() for role in said.get("roles", ())),
        domain_id=said.get("domain", {}).get("id", ""),
        system=bool(said.get("system", {}).get("all")),
    )


def keystone(settings: KeystoneSettings) -> Authenticate:
    """Return the way of authentication by Keystone's tokens. Raises ConfigError."""
    tokens = _Tokens(Keystone(settings), settings.token_cache_time)
    where = {"WWW-Authenticate": f'Keystone uri="{settings.www_authenticate_uri or settings.auth_url}"'}
    service_roles = frozenset(role.lower() for role in settings.service_token_roles)

    async def authenticate(request: Request) -> Who:
        token, service = (request.headers.get(f"x-{kind}-token") for kind in ("auth", "service"))
        if not token:
            raise Refused(401, "The request you have made requires authentication.", where)
        try:
            service_who = await tokens.whose(service) if service else None
            if service and service_who is None:
                raise Refused(401, "The service's token is not valid.", where)
            trusted = service_who is not None and bool(service_who.roles & service_roles)
            who = await tokens.whose(token, allow_expired=trusted)
        except exceptions.ClientException as error:
            log.error("Keystone at %s: %s", settings.auth_url, error)
            raise Refused(503, "The Keystone service is temporarily unavailable.") from None
        if who is None:
            raise Refused(401, "The token is not valid, or has expired.", where)
        return replace(who, service_roles=service_who.roles) if service_who else who

    return authenticate
