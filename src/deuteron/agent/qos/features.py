"""Whether this host's kernel can limit bandwidth."""

from deuteron.agent import preflight
from deuteron.agent.qos import shaping
from deuteron.agent.qos.shaping import Held
from deuteron.agent.system import ip, tc
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Limit

_REMEDY = "modprobe ifb sch_tbf sch_htb sch_ingress cls_u32 act_mirred"


def lacks() -> str:
    """Return why bandwidth cannot be limited here, with what to do about it; "" when it can be."""
    found = preflight.in_scratch_namespace(_attempt)
    return f"this host cannot limit bandwidth: {_REMEDY}; it said: {found[0]}" if found else ""


def _attempt() -> list[str]:
    wanted = shaping.bucket(Limit(direction="egress", rate=1000), mtu=1500)
    try:
        ip.batch(["link add probe type ifb"])
        tc.batch([*shaping.root("probe", wanted, Held()), *shaping.redirect("probe", "lo", Held())])
        tc.batch([f"qdisc add dev lo root handle {shaping.HANDLE} htb"])
    except SystemCommandError as error:
        return [str(error)]
    return []
