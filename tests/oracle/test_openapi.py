"""The judge: schemathesis, with some hundred requests; `make fuzz` makes 20,000."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from deuteron.api import openapi_v2
from deuteron.api.app import app
from deuteron.resources import registry
from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.api.conftest import Client, serve
from tests.oracle.fuzz import judge

NOT_DESCRIBED = {
    ("/v2.0/", "GET"),
    ("/v2.0/quotas/project", "GET"),
    ("/v2.0/quotas/tenant", "GET"),
    ("/v2.0/quotas/{}/details.json", "GET"),
    *(("/v2.0/policies/{}/tags", method) for method in ("GET", "PUT", "POST", "DELETE")),
    *(("/v2.0/policies/{}/tags/{}", method) for method in ("GET", "PUT", "DELETE")),
}
"""The root, and other names of other paths."""


@pytest.fixture
def database_url(_prepared_sqlite: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(_prepared_sqlite, tmp_path / 'deuteron.db')}"


@pytest.fixture
def api(db: Database) -> Iterator[Client]:
    yield from serve(db, ServerSettings())


def test_answers_are_as_described(api: Client, tmp_path: Path) -> None:
    some = "^/v2.0/(networks|security-group-rules)(/{id})?$"
    options = ("--phases", "coverage", "--seed", "1", "--include-path-regex", some)
    code, requests, said = judge(api.port, tmp_path, *options)
    assert code == 0, said
    assert requests > 300, said


def test_all_that_is_served_is_described_and_all_that_is_described_is_served(db: Database) -> None:
    served = {
        (re.sub(r"{.*?}", "{}", route.path), method)
        for route in app(ServerSettings(), db).routes
        if isinstance(route, Route) and route.path.startswith("/v2.0/")
        for method in (route.methods or set()) - {"HEAD"}
    }
    document = openapi_v2.document(registry.load())
    described = {
        (re.sub(r"{.*?}", "{}", path), method.upper())
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described - served == set()
    assert served - described == NOT_DESCRIBED
