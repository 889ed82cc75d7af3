"""What happened is told: as a page, and to those who follow, each event once and in time."""

import http.client
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from deuteron.placement import events
from deuteron.store import Database
from tests.api.conftest import Client


def happen(db: Database, *texts: str) -> None:
    for text in texts:
        write = partial(events.note, kind="host_back", subject=events.of_host("net1"), text=text, host="net1")
        db.write_now(write)


def texts(found: list[dict[str, Any]]) -> list[str]:
    return [one["text"] for one in found]


def test_pages_of_events(api: Client, db: Database) -> None:
    happen(db, "one", "two", "three")
    page = api.get("//v1/events").body["events"]
    assert texts(page) == ["one", "two", "three"]
    assert (page[0]["subject_kind"], page[0]["subject_name"], page[0]["host"]) == ("host", "net1", "net1")
    assert texts(api.get("//v1/events?limit=2").body["events"]) == ["two", "three"]
    assert texts(api.get(f"//v1/events?since={page[0]['id']}&limit=1").body["events"]) == ["two"]


@pytest.mark.parametrize("query", ["limit=0", "since=x", "colour=red", "follow=maybe"])
def test_a_query_that_makes_no_sense_is_refused(api: Client, query: str) -> None:
    answer = api.get(f"//v1/events?{query}")
    assert (answer.status, answer.error) == (400, "HTTPBadRequest")


def lines(api: Client, query: str) -> Iterator[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=100)
    connection.request("GET", f"/v1/events?follow=true&{query}")
    response = connection.getresponse()
    assert response.headers["content-type"] == "application/x-ndjson"
    try:
        while True:
            yield json.loads(response.readline())
    finally:
        connection.close()


def take(stream: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return the next events, without the keepalives."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        one = next(stream)
        if one["kind"] != "keepalive":
            found.append(one)
    return found


def test_followers_are_told_each_event_once(api: Client, db: Database) -> None:
    happen(db, "before")
    follower, other = lines(api, ""), lines(api, "limit=1")
    assert texts(take(follower, 1)) == texts(take(other, 1)) == ["before"]
    for number in range(20):
        happen(db, f"{number}")
    assert texts(take(follower, 20)) == [f"{number}" for number in range(20)]
    assert texts(take(other, 20)) == [f"{number}" for number in range(20)]
    assert next(follower)["kind"] == "keepalive", "nothing is told twice"


def test_a_follower_goes_on_where_it_was(api: Client, db: Database) -> None:
    happen(db, "one", "two", "three")
    first = api.get("//v1/events").body["events"][0]["id"]
    assert texts(take(lines(api, f"since={first}"), 2)) == ["two", "three"]
