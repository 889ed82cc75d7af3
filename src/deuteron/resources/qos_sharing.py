"""QoS policies are lent to other projects, and have tags."""

from deuteron.resources import rbac, tag

DECLARES = (rbac.lent("policy", type_="qos_policy", post=True, put=True), tag.on("policy"))
