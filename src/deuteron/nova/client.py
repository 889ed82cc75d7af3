"""Nova's API, as far as it is told what happens to its instances' ports."""

from collections.abc import Mapping, Sequence
from typing import Any

from keystoneauth1 import exceptions, noauth, session, token_endpoint
from keystoneauth1.identity import v3

from deuteron.config import ConfigError
from deuteron.settings import NovaSettings

PATH = "/os-server-external-events"
_UNKNOWN = 404
"""What it says of an instance that it does not know."""
_NONE_KNOWN = "No instances found"


class NovaDoesNotTake(Exception):
    """Nova cannot be asked, or does not take what it is told: try again later. The text says why."""


class NovaRefuses(Exception):
    """Nova says that what it is told makes no sense (status 400)."""


class Nova:
    """Tells Nova. `tell` blocks."""

    def __init__(self, settings: NovaSettings) -> None:
        """Raises ConfigError."""
        self._session = session.Session(
            auth=_auth(settings),
            verify=not settings.insecure and (settings.cafile or True),
            timeout=settings.timeout,
        )
        self._override = settings.endpoint_override.rstrip("/") or None
        self._endpoint = {
            "service_type": "compute",
            "interface": settings.endpoint_type,
            "region_name": settings.region_name or None,
        }

    def tell(self, events: Sequence[Mapping[str, str]]) -> list[int]:
        """Tell events in order; return Nova's status for each: 200, or why it has no use for it.

        Raises NovaDoesNotTake and NovaRefuses.
        """
        try:
            answer = self._session.post(
                PATH,
                json={"events": list(events)},
                endpoint_override=self._override,
                endpoint_filter=self._endpoint,
                headers={"Accept": "application/json"},
                raise_exc=False,
                log=False,
            )
        except exceptions.ClientException as error:
            raise NovaDoesNotTake(str(error)) from None
        if answer.status_code == 400:
            raise NovaRefuses(answer.text[:500])
        if answer.status_code == 404 and _NONE_KNOWN in answer.text:
            return [_UNKNOWN] * len(events)
        if answer.status_code not in (200, 207):
            raise NovaDoesNotTake(f"{answer.url} answered {answer.status_code}: {answer.text[:500]}")
        return _codes(answer, len(events))


def _codes(answer: Any, count: int) -> list[int]:
    try:
        codes = [int(event["code"]) for event in answer.json()["events"]]
    except (ValueError, KeyError, TypeError):
        codes = []
    if len(codes) != count:
        raise NovaDoesNotTake(f"{answer.url}: the answer is not Nova's: {answer.text[:500]}")
    return codes


def _auth(settings: NovaSettings) -> Any:
    if settings.auth_type in ("none", "admin_token"):
        where = settings.endpoint_override
        if not where:
            raise ConfigError(f"[nova] endpoint_override: auth_type = {settings.auth_type} needs it")
        if settings.auth_type == "none":
            return noauth.NoAuth(endpoint=where)
        if not settings.token:
            raise ConfigError("[nova] token: auth_type = admin_token needs it")
        return token_endpoint.Token(endpoint=where, token=settings.token)
    if not settings.auth_url:
        raise ConfigError(
            "[nova] auth_url: set the address of Keystone, or notify_nova_... = false in [server]"
        )
    base = settings.auth_url.rstrip("/")
    return v3.Password(
        auth_url=base if base.endswith("/v3") else f"{base}/v3",
        username=settings.username,
        password=settings.password,
        project_name=settings.project_name,
        user_domain_id=_domain_id(settings.user_domain_id, settings.user_domain_name),
        user_domain_name=settings.user_domain_name or None,
        project_domain_id=_domain_id(settings.project_domain_id, settings.project_domain_name),
        project_domain_name=settings.project_domain_name or None,
    )


def _domain_id(id_: str, name: str) -> str | None:
    return id_ or (None if name else "default")
