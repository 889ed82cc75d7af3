"""Who may do what: the rules, and what remains of one once it is known who asks. Knows no resource."""

from deuteron.policy.policy import Policy, PolicyError, load
from deuteron.policy.tree import All, Either, Field, Match, Never, Tree
from deuteron.policy.who import Who

__all__ = ["All", "Either", "Field", "Match", "Never", "Policy", "PolicyError", "Tree", "Who", "load"]
