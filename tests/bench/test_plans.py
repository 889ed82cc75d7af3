from deuteron.bench.figures import Group
from deuteron.bench.plans import Sizes, measure

TINY = Sizes(hosts=8, routers=2, ports=16, spread=3, added=2)


def test_a_tiny_run_counts_what_hosts_hear_of_a_port() -> None:
    said: list[str] = []
    group = Group("plan")
    measure(group, 1, said.append, TINY)
    assert said == ["plan: 16 ports in networks of 2 distributed routers"]
    found = {figure.name: figure.samples for figure in group.figures}
    assert len(found["plan of one host, all of it"]) == 8
    heard = found["a port added: hosts that hear of it"]
    assert len(heard) == 2
    assert all(1 <= count < 8 for count in heard), "only those that its network concerns"
    each = found["a port added: to one of them"]
    assert len(each) == sum(heard)
    assert all(100 < size < 1000 for size in each)
