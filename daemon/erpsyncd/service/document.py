"""Reading the import document (design.md §8): all of it is right, or every problem is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from erpsyncd.domain.connections import MAX_DISPLAY_TEXT, MAX_URL, ConnectionTemplate
from erpsyncd.domain.documents import Document, DocumentConnection, DocumentTenant
from erpsyncd.domain.input_rules import (
    NearMisses,
    context_problem,
    language_problem,
    name_problem,
    path_problem,
    text_problem,
    time_zone_problem,
    title_problem,
    url_problem,
)
from erpsyncd.domain.proxies import distance_problem, proxy_problem
from erpsyncd.domain.tenants import (
    AUTH_FIELDS,
    ONLINE_KINDS,
    Auth,
    AuthKind,
    DriftPolicy,
    Environment,
    Protocol,
    TenantSpec,
)
from erpsyncd.errors import ConfigurationError, Problem
from erpsyncd.service.document_repeats import repeated
from erpsyncd.service.document_templates import NAMED, read_blueprints, read_filled
from erpsyncd.service.formats import Unreadable, read_content
from erpsyncd.service.tables import TableReader, kind_of

if TYPE_CHECKING:
    from erpsyncd.domain.secrets import Template

#: What JSON that erpsyncd writes says about itself; a document may say it too.
KIND, VERSION = "document", 1

#: In the order in which an export writes them.
TENANT_KEYS = [
    "name",
    "url",
    "environment",
    "context",
    "soap_url",
    "rest_url",
    "protocol",
    "erpsync_services",
    "quote_services",
    "calls_per_second",
    "language",
    "time_zone",
    "careful",
    "drift",
    "sync_all_after_save",
    "ca_file",
    "client_certificate",
    "client_key",
    "proxy",
    "auth",
]
CONNECTION_KEYS = [
    "tenant",
    "key",
    "erp_connector_id",
    "erp_connector",
    "display_name",
    "display_description",
    "active",
    "all_access",
    "user_group_access_ids",
    "user_groups",
    "associate_access_ids",
    "associates",
    "state",
    "config_fields",
]


def read_documents(
    sources: Sequence[tuple[str, bytes]], *, stored_tenants: Callable[[], Collection[str]] | None = None
) -> Document:
    """Read the files of one import together, each given as its name (`-` for stdin) and its content.

    `stored_tenants` is asked only for a document that is refused anyway, so that its problems are all listed;
    one that can be read is checked against the store by the store, which is all the checking without it.

    Raises:
        ConfigurationError: with every problem of every file and its place; secrets are never repeated.
    """
    noted: list[list[str]] = [[] for _ in sources]
    tenants: list[DocumentTenant] = []
    connections: list[DocumentConnection] = []
    files = zip(sources, noted, strict=True)
    tops = [top for (name, content), problems in files if (top := _read_top(name, content, problems))]
    # A template may stand in another file than what it is for.
    blueprints = read_blueprints([table for top in tops for table in top.tables("templates")], CONNECTION_KEYS)
    for top in tops:
        tenants += [_read_tenant(table) for table in top.tables("tenants")]
        connections += [
            read_filled(table, blueprints, CONNECTION_KEYS, _read_connection) for table in top.tables("connections")
        ]
    problems = [*chain.from_iterable(noted), *repeated(tenants, connections)]
    if problems:
        if stored_tenants is not None:
            problems += _strangers(tenants, connections, stored_tenants)
        names = ", ".join("standard input" if name == "-" else name for name, _ in sources)
        raise ConfigurationError(f"{names} cannot be imported", problems=tuple(problems))
    return Document(tenants=tuple(tenants), connections=tuple(connections))


def read_entries(place: str, *, tenants: Iterable[object] = (), connections: Iterable[object] = ()) -> Document:
    """Read tables that stand in no file, by the same rules; `place` goes before each problem.

    Raises:
        ConfigurationError: with every problem; secrets are never repeated.
    """
    problems: list[str] = []
    document = Document(
        tenants=tuple(_read_tenant(TableReader(table, place, problems)) for table in tenants),
        connections=tuple(_read_connection(TableReader(table, place, problems)) for table in connections),
    )
    if problems:
        raise ConfigurationError("it cannot be described like this", problems=tuple(problems))
    return document


def _strangers(
    tenants: Sequence[DocumentTenant],
    connections: Sequence[DocumentConnection],
    stored_tenants: Callable[[], Collection[str]],
) -> Iterator[str]:
    described = {tenant.spec.name for tenant in tenants}
    strange = [entry for entry in connections if entry.tenant and entry.tenant not in described]
    stored = stored_tenants() if strange else frozenset[str]()
    hints = NearMisses(described.union(stored))
    for entry in strange:
        if entry.tenant not in stored:
            hint = hints.of(entry.tenant)
            yield Problem(entry.place, f"there is no tenant {entry.tenant!r}, neither here nor in the store{hint}")


def _read_top(name: str, content: bytes, problems: list[str]) -> TableReader | None:
    """Return the outermost table of a file, or None where there is none to look into."""
    try:
        value = read_content(name, content)
    except Unreadable as exc:
        problems.append(Problem(name, str(exc)))
        return None
    if not isinstance(value, dict):
        problems.append(Problem(name, f"must hold [[tenants]] and [[connections]], not {kind_of(value)}"))
        return None
    if not value:
        problems.append(Problem(name, "is empty: it has neither [[tenants]] nor [[connections]]"))
        return None
    top = TableReader(value, f"{name}: ", problems)
    top.refuse_unknown(("version", "kind", "templates", "tenants", "connections"))
    top.choice("kind", (KIND,), default=KIND)
    if top.whole("version", 1, default=VERSION) > VERSION:
        top.refuse("version", "is a newer erpsyncd's; import it with that one")
    return top


def _read_tenant(table: TableReader) -> DocumentTenant:
    name = table.text("name", name_problem)
    table.label = _label(name)
    table.refuse_unknown(TENANT_KEYS)
    protocol = table.choice("protocol", tuple(Protocol), default=Protocol.SOAP)
    environment, context = _read_environment(table)
    url = table.text("url", url_problem, default=None if environment is None else "")
    soap_url = table.optional_text("soap_url", url_problem)
    rest_url = table.optional_text("rest_url", url_problem)
    if "client_key" in table and "client_certificate" not in table:
        table.refuse("client_key", "is of no use without a client_certificate")
    return DocumentTenant(
        place=table.place,
        spec=TenantSpec(
            name=name,
            url=url,
            environment=environment,
            context=context,
            soap_url=soap_url,
            rest_url=rest_url,
            protocol=Protocol(protocol or Protocol.SOAP),
            erpsync_services=table.whole("erpsync_services", 84, 88, default=86),
            quote_services=table.whole("quote_services", 83, 88, default=83),
            calls_per_second=table.rate("calls_per_second", default=10.0),
            language=table.optional_text("language", language_problem),
            time_zone=table.optional_text("time_zone", time_zone_problem),
            careful=table.truth("careful", default=False),
            drift=DriftPolicy(table.choice("drift", tuple(DriftPolicy), default=DriftPolicy.REPORT) or "report"),
            sync_all_after_save=table.truth("sync_all_after_save", default=False),
            ca_file=table.optional_text("ca_file", path_problem),
            client_certificate=table.optional_text("client_certificate", path_problem),
            client_key=table.optional_text("client_key", path_problem),
            proxy=_read_proxy(table, (url, soap_url, rest_url)),
            auth=_read_auth(table.table("auth"), online=environment is not None),
        ),
    )


def _read_proxy(table: TableReader, urls: Iterable[str | None]) -> Template | None:
    template = table.optional_template("proxy", proxy_problem)
    if template is not None and not template.is_withheld and (problem := distance_problem(template, urls)):
        table.refuse("proxy", problem)
    return template


def _read_environment(table: TableReader) -> tuple[Environment | None, str | None]:
    """Return which of the vendor's worlds a tenant is in and who it is there; None where it is nobody's but its own."""
    word = table.choice("environment", tuple(Environment)) if "environment" in table else None
    context = table.optional_text("context", context_problem)
    if ("environment" in table) is not ("context" in table):
        lacking, given = ("context", "environment") if "environment" in table else ("environment", "context")
        table.refuse(lacking, f"is missing: it goes with {given}")
    return (None if word is None else Environment(word)), context


def _read_auth(table: TableReader | None, *, online: bool) -> Auth:
    word = table.choice("kind", tuple(AuthKind)) if table else None
    if table is None or word is None:
        return Auth(kind=AuthKind.PASSWORD, fields={})
    kind = AuthKind(word)
    if kind in ONLINE_KINDS and not online:
        table.refuse("kind", f'"{kind}" logs in at Online: it needs the tenant\'s environment and context')
    required, optional = AUTH_FIELDS[kind]
    table.refuse_unknown(("kind", *required, *optional))
    names = (*required, *(name for name in optional if name in table))
    fields = {
        # A key in PEM is the one secret that has lines.
        name: table.template(name, text_problem) if name == "private_key" else table.template(name)
        for name in names
    }
    return Auth(kind=kind, fields=fields)


def _read_connection(table: TableReader) -> DocumentConnection:
    tenant = table.text("tenant", name_problem)
    key = table.text("key", name_problem)
    table.label = _label(tenant, key, origin=table.origin)
    table.refuse_unknown(CONNECTION_KEYS)
    for name, number in NAMED.items():
        if name in table and number in table:
            table.refuse(name, f"cannot go with {number}; give one of the two")
    config = table.table("config_fields") if "config_fields" in table else None
    present = table.choice("state", ("present", "absent"), default="present") != "absent"
    by_name = "erp_connector" in table
    # An absent one is only deleted: what it was like need not be repeated.
    return DocumentConnection(
        tenant=tenant,
        key=key,
        present=present,
        place=table.place,
        template=ConnectionTemplate(
            erp_connector_id=table.whole("erp_connector_id", 1, default=0 if by_name or not present else None),
            erp_connector=table.text("erp_connector", title_problem, longest=MAX_URL) if by_name else None,
            display_name=table.text(
                "display_name", title_problem, longest=MAX_DISPLAY_TEXT, default=None if present else ""
            ),
            display_description=table.text("display_description", text_problem, longest=MAX_DISPLAY_TEXT, default=""),
            active=table.truth("active", default=True),
            all_access=table.truth("all_access", default=False),
            user_group_access_ids=table.ids("user_group_access_ids"),
            user_groups=table.names("user_groups", longest=MAX_DISPLAY_TEXT),
            associate_access_ids=table.ids("associate_access_ids"),
            associates=table.names("associates", longest=MAX_DISPLAY_TEXT),
            config_fields=config.templates() if config else {},
        ),
    )


def _label(*names: str, origin: str = "") -> str:
    """Return ` (acme/visma-no)`, as far as the names are such that a message can show them."""
    shown = "/".join(names) if all(name_problem(name) is None for name in names) else ""
    return f" ({shown}{origin})".replace("(; ", "(") if shown or origin else ""
