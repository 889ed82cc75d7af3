"""Errors as Neutron's clients know them: an HTTP status, a type name and a message.

A type's docstring-like `message` is a format; what it names is given as keyword arguments.
"""

from typing import Any, ClassVar


class NeutronError(Exception):
    """An error that a client is told of. A subclass is one of Neutron's types, with its name."""

    status: ClassVar[int] = 500
    message: ClassVar[str] = "An unknown exception occurred."

    def __init__(self, **values: Any) -> None:
        super().__init__(self.message.format(**values))

    @property
    def type(self) -> str:
        """The name in the body of the answer."""
        return type(self).__name__


class BadRequest(NeutronError):
    """`resource`, `msg`."""

    status = 400
    message = "Bad {resource} request: {msg}."


class NotFound(NeutronError):
    """Something named in the request is not there."""

    status = 404
    message = "The resource could not be found."


class Conflict(NeutronError):
    """The request contradicts the present state."""

    status = 409
    message = "The request conflicts with the present state."


class InUse(NeutronError):
    """Something still needs it."""

    status = 409
    message = "The resource is in use."


class Forbidden(NeutronError):
    """The caller may not do this. `reason`."""

    status = 403
    message = "Not authorized: {reason}."


class PolicyNotAuthorized(NeutronError):
    """The caller may see it, but not do this. `rule`."""

    status = 403
    message = "{rule} is disallowed by policy"


class InvalidScope(NeutronError):
    """The caller's token is not for a project."""

    status = 403
    message = "The request must be made in the scope of a project; the token is for the system or a domain."


class OverQuota(Conflict):
    """`overs`, names of resources."""

    message = "Quota exceeded for resources: {overs}."


class ServiceUnavailable(NeutronError):
    """Nothing left to give."""

    status = 503
    message = "The service is unavailable."


class NotBuiltYet(NeutronError):
    """A part of Neutron's API that Deuteron does not have. `what`."""

    status = 501
    message = "Not built yet: {what}."


class HTTPBadRequest(NeutronError):
    """The request's form is wrong. `msg`."""

    status = 400
    message = "{msg}"


class HTTPNotFound(NeutronError):
    """There is nothing at this path."""

    status = 404
    message = "The resource could not be found."


class HTTPMethodNotAllowed(NeutronError):
    """This path knows other methods only. `method`."""

    status = 405
    message = "The method {method} is not allowed for this resource."


class HTTPRequestEntityTooLarge(NeutronError):
    """`limit`, bytes."""

    status = 413
    message = "The body is larger than {limit} bytes."


class HTTPUnsupportedMediaType(NeutronError):
    """`given`."""

    status = 415
    message = "The content type {given} is not supported; send application/json."


class InvalidInput(BadRequest):
    """`error_message`."""

    message = "Invalid input for operation: {error_message}."


class MalformedRequestBody(BadRequest):
    """`reason`."""

    message = "Malformed request body: {reason}."


class RevisionNumberConstraintFailed(NeutronError):
    """If-Match named another revision. `expected`, `current`."""

    status = 412
    message = "Constrained to {expected}, but current revision is {current}"


class TenantIdProjectIdFilterConflict(BadRequest):
    """Both names of one filter."""

    message = "Both tenant_id and project_id passed as filters."


class ExtensionsNotFound(NotFound):
    """`extensions`."""

    message = "Extensions not found: {extensions}."
