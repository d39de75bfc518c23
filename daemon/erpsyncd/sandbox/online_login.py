"""The login service of the sandbox's online environment: system users, refresh tokens and the keys it signs with.

It checks what it gets as the real one says it does: the signature over token and minute, the minute itself, the
application's secret, the approval of the tenant. Whoever is let in gets a ticket of the tenant's own.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import IntEnum
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from erpsyncd.sandbox.messages import Reply, Request, json_reply
from erpsyncd.sandbox.online_keys import LoginKey, LoginKeys
from erpsyncd.sandbox.tenant import TenantState

CLAIMS = "http://schemes.superoffice.net/identity/"
_AUTHENTICATE = "/login/api/partnersystemuser/authenticate"
_JWKS = "/login/.well-known/jwks"
_TOKENS = "/login/common/oauth/tokens"
_APPLICATION = "/_sandbox/application"
#: How far the minute in a signature may be from the service's own clock.
_TOLERANCE = timedelta(minutes=5)
_TOKEN_LIFE = timedelta(seconds=360)


class AuthorizeErrorCode(IntEnum):
    """Why a system user is not let in, by the vendor's numbers."""

    REVOKED = 1
    EXPIRED = 3
    DENIED = 4
    NEEDS_REAPPROVAL = 5
    INVALID_TIMESTAMP = 6
    INVALID_SIGNATURE = 7

    @property
    def word(self) -> str:
        """The vendor's word for it."""
        return "".join(part.capitalize() for part in self.name.split("_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxApplication:
    """An application as its vendor registered it, and who approved it."""

    client_id: str = "sandbox-client"
    client_secret: str = field(default="sandbox-client-secret", repr=False)
    public_key: rsa.RSAPublicKey | None = None
    """The key that its system tokens are signed with."""

    system_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What each tenant that approved it got, by the tenant's name."""

    refresh_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Which tenant each refresh token belongs to."""


class _Refusal(Exception):
    def __init__(self, code: AuthorizeErrorCode) -> None:
        super().__init__(code.word)
        self.code = code


Mint = Callable[[LoginKey, dict[str, Any], dict[str, Any]], str]
"""Makes a token of a key, a header and claims; tests put theirs in its place."""


class LoginService:
    """What answers under `/login`. Attributes may be changed while it runs.

    Who rehearses asks `/_sandbox/application?tenant=CUST` for an application that this tenant has approved.
    """

    def __init__(self, find: Callable[[str], TenantState | None]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.keys = LoginKeys()
        self.applications: tuple[SandboxApplication, ...] = ()
        self.refuse: AuthorizeErrorCode | None = None
        """What every system user is refused with, if any."""

        self.header_names: tuple[str, ...] = ("x5t",)
        """What a token's header names its key with: `kid`, `x5t`, both or nothing."""

        self.access_token_seconds = 3600
        self.mint: Mint = lambda key, header, claims: key.sign(header, claims)
        self.counts: Counter[str] = Counter()
        """How often `Authenticate`, `jwks` and `tokens` were asked for."""

    def answer(self, request: Request) -> Reply | None:
        """Answer a request for the login service; None where it is for a tenant."""
        handlers: dict[tuple[str, str], tuple[str, Callable[[Request], Reply]]] = {
            ("POST", _AUTHENTICATE): ("Authenticate", self._authenticate),
            ("GET", _JWKS): ("jwks", lambda _: json_reply(self.keys.to_jwks())),
            ("POST", _TOKENS): ("tokens", self._tokens),
            ("GET", _APPLICATION): ("application", self._register),
        }
        found = handlers.get((request.method, request.path.lower()))
        if found is None:
            return None
        name, handler = found
        with self._lock:
            self.counts[name] += 1
        reply = handler(request)
        date = format_datetime(self.now(), usegmt=True)
        return Reply(status=reply.status, body=reply.body, headers={**reply.headers, "Date": date})

    def _register(self, request: Request) -> Reply:
        """Register an application with a key of its own, and return all that its vendor would know."""
        context = request.parameter("tenant")
        if not context or self._find(context) is None:
            return json_reply({"error": f"there is no tenant {context!r} here"}, 404)
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = f"sandbox-{secrets.token_hex(4)}"
        application = SandboxApplication(
            client_id=name,
            client_secret=secrets.token_hex(16),
            public_key=private.public_key(),
            system_tokens={context: f"{name}-{secrets.token_hex(5)}"},
            refresh_tokens={secrets.token_hex(16): context},
        )
        with self._lock:
            self.applications = (*self.applications, application)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return json_reply(
            {
                "context": context,
                "client_id": application.client_id,
                "client_secret": application.client_secret,
                "system_token": application.system_tokens[context],
                "refresh_token": next(iter(application.refresh_tokens)),
                "private_key": pem.decode(),
            }
        )

    # System users.

    def _authenticate(self, request: Request) -> Reply:
        if request.media_type != "application/json":
            return json_reply({"Message": "The request entity's media type is not supported."}, 415)
        try:
            document = json.loads(request.body)
            given = {name: str(document[name]) for name in _ASKED}
        except (ValueError, KeyError, TypeError):
            return json_reply({"Message": "The request is invalid."}, 400)
        if given["ReturnTokenType"].upper() != "JWT":
            return json_reply({"Message": "The request is invalid."}, 400)
        try:
            token = self._let_in(given["SignedSystemToken"], given["ApplicationToken"], given["ContextIdentifier"])
        except _Refusal as refusal:
            message = f"The system user could not be authenticated. AuthorizeErrorCode: {refusal.code.word}"
            return json_reply({"IsSuccessful": False, "Token": None, "ErrorMessage": message})
        return json_reply({"IsSuccessful": True, "Token": token, "ErrorMessage": None})

    def _let_in(self, signed: str, secret: str, context: str) -> str:
        if self.refuse is not None:
            raise _Refusal(self.refuse)
        application = next((each for each in self.applications if each.client_secret == secret), None)
        tenant = self._find(context)
        if application is None or tenant is None:
            raise _Refusal(AuthorizeErrorCode.DENIED)
        system_token = self._checked(signed, application)
        if {name.lower(): token for name, token in application.system_tokens.items()}.get(tenant.name) != system_token:
            raise _Refusal(AuthorizeErrorCode.DENIED)
        return self._token(tenant.issue_ticket("system user"), context)

    def _checked(self, signed: str, application: SandboxApplication) -> str:
        """Return the system token in a signed one."""
        data, _, signature = signed.rpartition(".")
        system_token, _, minute = data.rpartition(".")
        try:
            at = datetime.strptime(minute, "%Y%m%d%H%M").replace(tzinfo=UTC)
        except ValueError:
            raise _Refusal(AuthorizeErrorCode.INVALID_TIMESTAMP) from None
        if abs(self.now() - at) > _TOLERANCE:
            raise _Refusal(AuthorizeErrorCode.INVALID_TIMESTAMP)
        if application.public_key is None:
            raise _Refusal(AuthorizeErrorCode.INVALID_SIGNATURE)
        try:
            octets = base64.b64decode(signature, validate=True)
            application.public_key.verify(octets, data.encode(), padding.PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error):
            raise _Refusal(AuthorizeErrorCode.INVALID_SIGNATURE) from None
        return system_token

    def _token(self, ticket: str, context: str) -> str:
        key, now = self.keys.current, int(self.now().timestamp())
        header = {"alg": "RS256", "typ": "JWT", **{name: getattr(key, name) for name in self.header_names}}
        claims = {
            "iss": "SuperOffice AS",
            "aud": "spn:1234567890",
            "nbf": now,
            "iat": now,
            "exp": now + int(_TOKEN_LIFE.total_seconds()),
            f"{CLAIMS}ticket": ticket,
            f"{CLAIMS}ctx": context,
            f"{CLAIMS}serial": "1234567890",
            f"{CLAIMS}is_administrator": "True",
        }
        return self.mint(key, header, claims)

    # Refresh tokens.

    def _tokens(self, request: Request) -> Reply:
        if request.media_type != "application/x-www-form-urlencoded":
            return _oauth_error("invalid_request", "The parameters must come as a form.")
        given = {name: values[0] for name, values in parse_qs(request.body.decode("ascii", "replace")).items()}
        if given.get("grant_type") != "refresh_token":
            return _oauth_error("unsupported_grant_type", "Only refresh tokens are known here.")
        application = next((each for each in self.applications if each.client_id == given.get("client_id")), None)
        if application is None or application.client_secret != given.get("client_secret"):
            return _oauth_error("invalid_client", "The application is not known.", 401)
        context = application.refresh_tokens.get(given.get("refresh_token", ""))
        tenant = self._find(context) if context else None
        if tenant is None:
            return _oauth_error("invalid_grant", "The refresh token is not valid.")
        token = tenant.issue_access_token(self.access_token_seconds)
        document = {"token_type": "Bearer", "access_token": token, "expires_in": self.access_token_seconds}
        return json_reply({**document, "id_token": "not.for.us"}, Cache_Control="no-store")


_ASKED = ("SignedSystemToken", "ApplicationToken", "ContextIdentifier", "ReturnTokenType")


def _oauth_error(error: str, description: str, status: int = 400) -> Reply:
    return json_reply({"error": error, "error_description": description}, status)
