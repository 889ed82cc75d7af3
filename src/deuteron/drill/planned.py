"""What an operator does on purpose: it may cost nothing."""

from typing import Any

from deuteron.drill.stage import Stage, ask
from deuteron.lab import scene
from deuteron.lab.topology import LabError

SECONDS = 120.0


def move(stage: Stage, host: str) -> None:
    """Move the router to a host. Raises LabError."""
    scene.move(stage.scene, host)


def drain(stage: Stage, host: str) -> None:
    """Empty a host, until it is safe to power it off. Raises LabError."""
    stage.api.post(f"/v1/hosts/{host}/drain", None)
    ended = scene.wait(
        lambda: _drain(stage, host) if _drain(stage, host)["state"] != "draining" else None,
        lambda: f"the drain of {host} does not end: {_drain(stage, host)['text']}",
        SECONDS,
    )
    if not ended["safe"]:
        raise LabError(f"{host} is drained and not safe to power off: {ended['text']}")


def undrain(stage: Stage, host: str) -> None:
    """Let a host be used again. Raises LabError."""
    stage.api.post(f"/v1/hosts/{host}/undrain", None)


def drained(stage: Stage) -> list[str]:
    """Return the hosts that are to be empty. Raises LabError."""
    return [host for host in stage.candidates() if _drain(stage, host)["state"] != "none"]


def convert(stage: Stage, mode: str) -> None:
    """Make the router redundant or plain, distributed or central, with the router up. Raises LabError."""
    path = f"/v1/routers/{stage.router}"
    asked = stage.api.post(f"{path}/convert", {"mode": mode})["conversion"]

    def state() -> dict[str, Any]:
        found: list[dict[str, Any]] = stage.api.get(f"{path}/conversions")["conversions"]
        return next(one for one in found if one["id"] == asked["id"])

    ended = scene.wait(
        lambda: None if state()["running"] else state(),
        lambda: f"the router does not become {mode}: {state()}",
        SECONDS,
    )
    if ended["phase"] != "done":
        raise LabError(f"the router did not become {mode}: {ended['detail']}")


def restore(stage: Stage, seconds: float) -> None:
    """Undo what was done on purpose, as soon as the server answers. Raises LabError."""
    scene.wait(lambda: ask(stage, "/v1/status") is not None, lambda: "the server does not answer", seconds)
    for host in drained(stage):
        undrain(stage, host)
    router = stage.api.get(f"/v2.0/routers/{stage.router}")["router"]
    if (router["ha"], router["distributed"]) != (stage.mode.redundant, stage.mode.distributed):
        convert(stage, stage.mode.name)


def _drain(stage: Stage, host: str) -> dict[str, Any]:
    found: dict[str, Any] = stage.api.get(f"/v1/hosts/{host}/drain")
    return found
