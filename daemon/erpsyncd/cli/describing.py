"""`erpsyncd tenants add` and `edit`: a tenant without a file. Secrets are asked for, never taken from the line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from erpsyncd import by_hand
from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import write_json, write_note, write_text
from erpsyncd.domain.items import command
from erpsyncd.domain.proxies import parse_proxy
from erpsyncd.domain.secrets import parse_template
from erpsyncd.domain.tenants import SECRET_OF, AuthKind
from erpsyncd.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--url", metavar="URL", help="Address of the installation."),
    click.option("--environment", metavar="NAME", help="sod, stage or online, instead of --url."),
    click.option("--context", metavar="CUST", help="Who it is there, such as Cust12345."),
    click.option("--soap-url", metavar="URL", help="Another address for SOAP."),
    click.option("--rest-url", metavar="URL", help="Another address for REST."),
    click.option("--protocol", metavar="PROTOCOL", help="soap or rest."),
    click.option("--erpsync-services", type=int, metavar="NN", help="Version of the ErpSync agent. [86]"),
    click.option("--quote-services", type=int, metavar="NN", help="Version of the Quote agent. [83]"),
    click.option("--calls-per-second", type=float, metavar="N", help="At most so many calls. [10]"),
    click.option("--language", metavar="LANG", help="In which language checks are answered."),
    click.option("--time-zone", metavar="ZONE", help="In which time zone checks are answered."),
    click.option("--careful/--not-careful", default=None, help="Test each save, and undo it where it fails."),
    click.option("--drift", metavar="POLICY", help="report or enforce."),
    click.option("--sync-all-after-save/--no-sync-all-after-save", default=None, help="Run SyncAll after changes."),
    click.option("--ca-file", metavar="PATH", help="Whom to trust instead of whom the system trusts."),
    click.option("--client-certificate", metavar="PATH", help="What to show to a tenant that asks who we are."),
    click.option("--client-key", metavar="PATH", help="Its key, where that is another file."),
    click.option("--proxy", metavar="URL", help="The forward proxy before it, its password as a reference."),
    click.option("--auth", metavar="KIND", help="Such as password, bearer or system-user."),
    click.option("--username", metavar="NAME", help="Who we are there, with --auth password."),
    click.option("--client-id", metavar="ID", help="The application, with --auth refresh-token."),
    click.option("--client-secret-ref", metavar="REF", help="Its secret as a reference."),
    click.option("--private-key-ref", metavar="REF", help="Its key as a reference, with system-user."),
    click.option("--secret-ref", metavar="REF", help="The password, ticket or token as @{env:X}, @{file:/X}."),
    click.option("--secret-stdin", is_flag=True, help="Read the password, ticket or token from stdin."),
    click.option("--application-token-ref", metavar="REF", help="The application token as a reference."),
    click.option("--ask-application-token", is_flag=True, help="Ask for the application token."),
)


def _described(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("tenant")
@_described
@common_options
@pass_invocation
def add(invocation: Invocation, /, tenant: str, **given: Any) -> None:
    """Describe a new tenant.

    Its password, ticket or token is asked for on the terminal, unless it is given by reference or on stdin.

    \b
    Examples:
      erpsyncd tenants add acme --url https://crm.acme.example --username sync
      erpsyncd tenants add acme --url https://crm.acme.example --protocol rest \\
        --auth bearer --secret-ref '@{file:/etc/erpsyncd/acme.token}'
      erpsyncd tenants add acme --environment online --context Cust12345 \\
        --protocol rest --auth system-user --ask-application-token \\
        --private-key-ref '@{file:/etc/erpsyncd/app.pem}'
    """
    kind = given["auth"] or AuthKind.PASSWORD.value
    _refuse_missing(given, kind)
    asks = not (given["secret_stdin"] or given["secret_ref"] is not None)
    _describe(invocation, tenant, given | {"auth": kind}, kind, asks=asks, new=True)


@click.command()
@click.argument("tenant")
@_described
@click.option("--ask-secret", is_flag=True, help="Ask for a new password, ticket or token.")
@common_options
@pass_invocation
def edit(invocation: Invocation, /, tenant: str, *, ask_secret: bool, **given: Any) -> None:
    """Describe a tenant in part otherwise; what is not given stays as it is.

    An empty text takes away what a tenant need not have, such as --proxy "".
    Its secrets stay as they are, and go to a new --url too, unless they are given anew.

    \b
    Examples:
      erpsyncd tenants edit acme --url https://crm2.acme.example
      erpsyncd tenants edit acme --ask-secret
    """
    kind = given["auth"] or by_hand.auth_kind(settings_of(invocation), tenant)
    _describe(invocation, tenant, given, kind, asks=ask_secret, new=False)


def _describe(invocation: Invocation, tenant: str, given: dict[str, Any], kind: str, *, asks: bool, new: bool) -> None:
    _refuse_password_in(given["proxy"])
    auth = {name: given.pop(name) for name in ("username", "client_id")}
    auth = {"kind": given.pop("auth")} | auth | _secrets(tenant, kind, given, asks=asks)
    auth = {name: value for name, value in auth.items() if value is not None}
    changes = {name: value for name, value in given.items() if value is not None} | ({"auth": auth} if auth else {})
    report, warnings = by_hand.describe_tenant(settings_of(invocation), tenant, changes, invocation.environ, new=new)
    for warning in warnings:
        write_note(f"erpsyncd: warning: {warning}")
    if invocation.as_json:
        write_json("tenants", {"items": [{"name": tenant, "changed": report.unchanged == 0}]})
    elif report.unchanged:
        write_text(f"{tenant} is described just like this already.")
    else:
        write_text(f"{tenant} is described; to try it out: {command('tenants', 'test', tenant)}")


def _refuse_missing(given: dict[str, Any], kind: str) -> None:
    """Name the options that a new tenant lacks, before anybody is asked for a secret."""
    needed = {
        "url": given["environment"] is None,
        "context": given["environment"] is not None,
        "username": kind == AuthKind.PASSWORD.value,
        "private_key_ref": kind == AuthKind.SYSTEM_USER.value,
        "application_token_ref": kind == AuthKind.SYSTEM_USER.value and not given["ask_application_token"],
        "client_id": kind == AuthKind.REFRESH_TOKEN.value,
        "client_secret_ref": kind == AuthKind.REFRESH_TOKEN.value,
    }
    lacking = [name for name, is_needed in needed.items() if is_needed and given[name] is None]
    missing = [f"--{name.replace('_', '-')} is missing" for name in lacking]
    if missing:
        raise click.UsageError("; ".join(missing), click.get_current_context())


def _secrets(tenant: str, kind: str, given: dict[str, Any], *, asks: bool) -> dict[str, str | None]:
    """Return the secrets that were given, as the document would have them."""
    name = {str(known): name for known, name in SECRET_OF.items()}.get(kind)
    reference, stdin = _reference("--secret-ref", given.pop("secret_ref")), given.pop("secret_stdin")
    token = _reference("--application-token-ref", given.pop("application_token_ref"))
    others = {
        name: _reference(f"--{name.replace('_', '-')}-ref", given.pop(f"{name}_ref"))
        for name in ("client_secret", "private_key")
    }
    if (reference is not None) + stdin + asks > 1:
        raise UsageError("give the secret in one way: --secret-ref, --secret-stdin or on the terminal")
    if given.pop("ask_application_token"):
        if token is not None:
            raise UsageError("give the application token in one way: by reference or on the terminal")
        token = _asked(f"Application token of {tenant}")
    if name is None:  # there is no such kind of auth, which is said where everything else is checked
        return {"application_token": token} | others
    if stdin:
        reference = _literal(sys.stdin.readline().rstrip("\r\n"))
    elif asks:
        reference = _asked(f"{name.replace('_', ' ').capitalize()} of {tenant}")
    return {name: reference, "application_token": token} | others


def _reference(option: str, text: str | None) -> str | None:
    """Return a reference; anything else would be a secret that other users of this machine can read."""
    if text is None:
        return None
    try:
        template = parse_template(text)
    except ValueError as exc:
        raise UsageError(f"{option}: {exc}") from None
    if not template.references or template.holds_secret_text:
        raise UsageError(
            f"{option} takes a reference such as @{{file:/path}}, never the secret itself: others could read it in "
            "the process list"
        )
    return text


def _refuse_password_in(proxy: str | None) -> None:
    try:
        password = parse_proxy(parse_template(proxy or "")).password
    except ValueError:
        return  # it is none, which is said where everything else is checked
    if password is not None and password.holds_secret_text:
        raise UsageError("--proxy takes its password as a reference: others could read it in the process list")


def _asked(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on; use --secret-stdin, or give a reference")
    return _literal(click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))


def _literal(secret: str) -> str:
    """Return the text that the document's rules read as just this secret."""
    return secret.replace("@{", "@@{")
