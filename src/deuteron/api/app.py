"""The server as an ASGI application."""

import importlib
import importlib.util

from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from deuteron.api import discovery, errors, v2
from deuteron.api.requestlog import RequestLog
from deuteron.api.services import Services
from deuteron.resources import registry
from deuteron.resources.errors import NeutronError
from deuteron.settings import ServerSettings
from deuteron.store import Database

_PARTS = ("deuteron.api.agents", "deuteron.api.v1")


def app(settings: ServerSettings, db: Database) -> Starlette:
    """Return the application: Neutron's API, and what the other modules of this room serve.

    Its `state.services` is what the handlers were given.
    """
    services = Services(settings, db, registry.load())
    routes: list[Route] = [*discovery.routes(services), *v2.routes(services)]
    for name in _PARTS:
        if importlib.util.find_spec(name):
            routes += importlib.import_module(name).routes(services)
    application = Starlette(
        routes=routes,
        middleware=[Middleware(RequestLog)],
        exception_handlers={
            NeutronError: errors.on_neutron_error,
            HTTPException: errors.on_http_error,
            DBAPIError: errors.on_database_error,
            Exception: errors.on_anything,
        },
    )
    application.state.services = services
    return application
