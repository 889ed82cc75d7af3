"""The server as an ASGI application."""

import importlib
import importlib.util
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from deuteron import policy
from deuteron.api import auth, discovery, errors, v2
from deuteron.api.requestlog import RequestLog
from deuteron.api.services import Services
from deuteron.api.spelling import Spelling
from deuteron.config import ConfigError
from deuteron.resources import registry
from deuteron.resources.errors import NeutronError
from deuteron.settings import KeystoneSettings, ServerSettings
from deuteron.store import Database

_PARTS = (
    "deuteron.api.agents",
    "deuteron.api.openapi_v2",
    "deuteron.api.quotas",
    "deuteron.api.tags",
    "deuteron.api.v1",
)


def app(settings: ServerSettings, db: Database, keystone: KeystoneSettings | None = None) -> Starlette:
    """Return the application: Neutron's API, and what the other modules of this room serve.

    Its `state.services` is what the handlers were given. Raises ConfigError and PolicyError.
    """
    _refuse_equal_macs(settings)
    known = registry.load()
    rules = policy.load(known.rules, Path(settings.policy_file) if settings.policy_file else None)
    services = Services(settings, db, known, rules)
    routes: list[Route] = [*discovery.routes(services), *v2.routes(services)]
    for name in _PARTS:
        if importlib.util.find_spec(name):
            routes += importlib.import_module(name).routes(services)
    application = Starlette(
        routes=routes,
        middleware=[
            Middleware(RequestLog),
            Middleware(Spelling, routes=routes),
            Middleware(
                auth.Door,
                settings=settings,
                policy=rules,
                authenticate=_authenticate(settings, keystone or KeystoneSettings()),
            ),
        ],
        exception_handlers={
            NeutronError: errors.on_neutron_error,
            HTTPException: errors.on_http_error,
            DBAPIError: errors.on_database_error,
            Exception: errors.on_anything,
        },
    )
    application.state.services = services
    return application


def _refuse_equal_macs(settings: ServerSettings) -> None:
    """Raise ConfigError if a host's DVR MAC could be a port's MAC."""
    if settings.base_mac[:8].lower() == settings.dvr_base_mac[:8].lower():
        raise ConfigError(
            f"[server] dvr_base_mac = {settings.dvr_base_mac!r}: its first three octets are those of "
            "base_mac; set others, such as fa:16:3f"
        )


def _authenticate(settings: ServerSettings, keystone: KeystoneSettings) -> auth.Authenticate:
    # Imported when needed: bcrypt and keystoneauth1 are large.
    if settings.auth == "http_basic":
        return importlib.import_module("deuteron.api.auth_basic").http_basic(settings)  # type: ignore[no-any-return]
    if settings.auth == "keystone":
        return importlib.import_module("deuteron.api.auth_keystone").keystone(keystone)  # type: ignore[no-any-return]
    return auth.noauth(settings)
