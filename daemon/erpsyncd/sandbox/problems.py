"""What the sandbox says when it will not do what it was asked: NetServer's exceptions, and plain HTTP refusals."""

from __future__ import annotations

from collections.abc import Mapping

EXCEPTIONS = "SuperOffice.Exceptions."


class Problem(Exception):
    """An exception of NetServer. SOAP wraps it or makes it a fault, REST turns it into an error answer."""

    def __init__(self, kind: str, message: str, *, parameters: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        #: The .NET name without its namespace, such as `SoNotFoundException`.
        self.kind = kind
        self.message = message
        #: The field by field part of a validation failure.
        self.parameters = dict(parameters or {})

    @property
    def exception_type(self) -> str:
        """The full .NET name; names that already have a namespace stay as they are."""
        return self.kind if "." in self.kind else EXCEPTIONS + self.kind


class SessionProblem(Problem):
    """No valid session: a ticket is missing, unknown or expired. REST answers 401."""

    def __init__(self, message: str = "Authentication failed! A valid session is missing.") -> None:
        super().__init__("SoSessionException", message)


class NotFoundProblem(Problem):
    """An id that names nothing."""

    def __init__(self, what: str, identity: int) -> None:
        super().__init__("SoNotFoundException", f"{what} with id {identity} was not found.")


class ValidationProblem(Problem):
    """Save() refused some fields."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("SoValidationException", "Validation failed: " + "; ".join(fields.values()), parameters=fields)


class UnreadableRequest(Exception):
    """The request cannot be read as what it claims to be. REST answers 400, SOAP a deserialization fault."""
