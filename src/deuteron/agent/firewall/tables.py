"""The tables' frame: what is always there, whatever ports and groups there are.

A frame from an instance is checked by its port's chain in the bridge family (is it who it says it is?) and
marked; br_netfilter then hands its packet to the inet family, where connections are tracked, in a zone for
each network, and the mark leads to the rules. A packet to an instance is marked when its way out is known.

The mark is not the port's but that of its groups: MARK, then 23 bits of a number, and 1 for "to".
"""

from deuteron.agent.firewall.ruleset import TABLE

MARK = 0xDE000000
MASK = 0xFF000000
ONE_WAY_SECONDS = 2
"""How long a TCP connection is known as begun that nobody here has begun and nobody here has answered."""
CLOSED = MARK | 1
"""Of frames to a device whose port is gone."""

EMPTY = "".join(f"table {family} {TABLE}\ndelete table {family} {TABLE}\n" for family in ("inet", "bridge"))
"""What removes the tables, whether or not they are there."""

# Priorities: after the gate of routers (-310) and metadata's own table (-300), before br_netfilter (0 and -1
# of the bridge family). The zone is set before packets are put together of fragments (-400): those of two
# networks must not mix. Rules for senders come as soon as connections are known (-200).
#
# What a distributed router's part here sends to a guest elsewhere is seen in one direction only: a TCP
# connection would be "begun" for two minutes and all else of it invalid, also when the guest has come here.
# When it is forgotten soon, its next packet is one of a connection like any other.
FRAME = f"""\
{EMPTY}table inet {TABLE} {{
  ct timeout one_way4 {{
    protocol tcp
    l3proto ip
    policy = {{ syn_sent : {ONE_WAY_SECONDS} }}
  }}
  ct timeout one_way6 {{
    protocol tcp
    l3proto ip6
    policy = {{ syn_sent : {ONE_WAY_SECONDS} }}
  }}
  map zones {{
    typeof iifname : ct zone
  }}
  map senders {{
    type mark : verdict
  }}
  map receivers {{
    type mark : verdict
  }}
  chain zone {{
    type filter hook prerouting priority -450; policy accept;
    ct zone set iifname map @zones
  }}
  chain sent {{
    type filter hook prerouting priority -150; policy accept;
    meta mark vmap @senders
    ct zone != 0 ct state new meta nfproto ipv4 meta l4proto tcp ct timeout set "one_way4"
    ct zone != 0 ct state new meta nfproto ipv6 meta l4proto tcp ct timeout set "one_way6"
  }}
  chain received {{
    type filter hook forward priority 0; policy accept;
    meta mark vmap @receivers
  }}
  chain from_any {{
    icmpv6 type {{ 131, 132, 133, 135, 136, 143 }} accept
    meta nfproto ipv4 udp sport 68 udp dport 67 accept
    meta nfproto ipv6 udp sport 546 udp dport 547 accept
  }}
  chain to_any {{
    icmpv6 type {{ 130, 134, 135, 136 }} accept
    meta nfproto ipv4 udp sport 67 udp dport 68 accept
    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
  }}
}}
table bridge {TABLE} {{
  map from {{
    type ifname : mark
  }}
  map to {{
    type ifname : mark
  }}
  map identities {{
    type ifname : verdict
  }}
  chain sent {{
    type filter hook prerouting priority -290; policy accept;
    meta mark set iifname map @from
    iifname vmap @identities
  }}
  chain received {{
    type filter hook forward priority -200; policy accept;
    meta mark set oifname map @to
    meta mark {CLOSED:#x} drop
    meta mark & {MASK | 1:#x} == {MARK | 1:#x} ether type != {{ ip, arp, ip6 }} drop
  }}
  chain done {{
    type filter hook postrouting priority 300; policy accept;
    meta mark & {MASK:#x} == {MARK:#x} meta mark set 0
  }}
}}
"""
