"""Errors of QoS policies and their rules: see `errors`."""

from deuteron.resources.errors import Conflict, Forbidden, InUse, NotFound


class QosPolicyNotFound(NotFound):
    """`id`."""

    message = "QoS policy {id} could not be found."


class PolicyRemoveAuthorizationError(Forbidden):
    """`policy_id`."""

    message = "Failed to remove provided policy {policy_id} because you are not authorized."


class QosRuleNotFound(NotFound):
    """`id`."""

    message = "QoS rule {id} could not be found."


class QosPolicyInUse(InUse):
    """`policy_id`, `object_type`, `object_id`."""

    message = "QoS Policy {policy_id} is used by {object_type} {object_id}."


class QoSPolicyDefaultAlreadyExists(Conflict):
    """`project_id`."""

    message = "A default QoS policy exists for project {project_id}."


class QoSRulesConflict(Conflict):
    """`new_rule_type`, `rule_id`, `policy_id`."""

    message = (
        "Rule {new_rule_type} conflicts with rule {rule_id} which already exists in QoS Policy {policy_id}."
    )


class QoSRuleParameterConflict(Conflict):
    """`rule_value`, `policy_id`, `existing_rule`, `existing_value`."""

    message = (
        "Unable to add the rule with value {rule_value} to the policy {policy_id} as the existing rule of "
        "type {existing_rule} has value {existing_value}."
    )
