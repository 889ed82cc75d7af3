"""A new extension is a new file: no other is edited. This drops two in and asks a server about them."""

import subprocess
import sys
from pathlib import Path

COLOUR = '''
"""An extension that gives ports a colour, and a resource of its own."""

from typing import Any

from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict
from deuteron.resources.resource import Alias, Child, Extension, Item, Resource
from deuteron.resources.types import DERIVED, line, one_of

paint = Resource(
    name="paint",
    collection="paints",
    attributes={"vendor": Attr(type=line(), default="any", post=True, put=True)},
)


def present(call: Call, items: list[Item]) -> None:
    for item in items:
        item["shade"] = "dark " + item["colour"]


def refuse_red(call: Call, row: Item) -> None:
    if row["colour"] == "red":
        raise Conflict


def mix(call: Call, id_: str, body: Any) -> Item:
    return {"mixed": [id_, body]}


DECLARES = (
    paint,
    Extension(
        resource="port",
        name="colour",
        attributes={
            "colour": Attr(type=one_of("red", "blue", "none"), default="none", post=True, put=True),
            "shade": Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False),
        },
        present=present,
        deleting=refuse_red,
        actions={"mix": mix},
        children={"coats": Child(collection="coats", listing=lambda call, id_: [{"port": id_}])},
    ),
    Alias(alias="colours", name="Colours", description="Coloured ports"),
)
'''

SCRIPT = """
import sys
import deuteron.resources
deuteron.resources.__path__.append(sys.argv[2])
from deuteron.resources import registry
from deuteron.settings import ServerSettings
from deuteron.store import Database
from deuteron.store.migrate import prepare
from tests.api.conftest import serve

registry.load()
db = Database(sys.argv[1])
prepare(db)
for api in serve(db, ServerSettings()):
    assert "colours" in [one["alias"] for one in api.get("/extensions").body["extensions"]]
    network = api.make("network")["id"]
    plain = api.make("port", network_id=network)
    red = api.make("port", network_id=network, colour="red")
    assert (plain["colour"], plain["shade"]) == ("none", "dark none")
    assert red["colour"] == api.shown("port", red["id"])["colour"] == "red"
    assert api.refused("port", network_id=network, colour="green")[0] == 400
    assert [one["id"] for one in api.get("/ports?colour=red").body["ports"]] == [red["id"]]
    assert [one["id"] for one in api.get("/ports?colour=none").body["ports"]] == [plain["id"]]
    ordered = api.get("/ports?sort_key=colour&sort_dir=desc").body["ports"]
    assert len(ordered) == 2
    assert api.put(f"/ports/{plain['id']}", {"port": {"colour": "blue"}}).body["port"]["colour"] == "blue"
    assert api.put(f"/ports/{red['id']}/mix", {"a": 1}).body == {"mixed": [red["id"], {"a": 1}]}
    assert api.get(f"/ports/{red['id']}/coats").body == {"coats": [{"port": red["id"]}]}
    assert api.delete(f"/ports/{red['id']}").status == 409
    assert api.put(f"/ports/{red['id']}", {"port": {"colour": "none"}}).status == 200
    assert api.delete(f"/ports/{red['id']}").status == 204
    paint = api.make("paint", name="p", vendor="x")
    assert api.get("/paints?vendor=x").body["paints"] == [paint]
    assert api.put(f"/paints/{paint['id']}", {"paint": {"vendor": "y"}}).body["paint"]["vendor"] == "y"
    assert api.delete(f"/paints/{paint['id']}").status == 204
db.close()
print("all of it")
"""


def test_a_new_file_is_all_that_an_extension_needs(database_url: str, tmp_path: Path) -> None:
    dropped = tmp_path / "dropped"
    dropped.mkdir()
    (dropped / "colour.py").write_text(COLOUR)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, database_url, dropped],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.stdout.endswith("all of it\n"), done.stderr
