"""`erpsyncd doctor`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import as_json, write_json, write_text
from erpsyncd.domain.findings import Finding, Result, exit_code
from erpsyncd.errors import ConfigurationError


@click.command()
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@click.option("--local", is_flag=True, help="Look at this machine only; call no tenant.")
@click.option("--retry", is_flag=True, help="Try credentials that the tenant refused before.")
@common_options
@pass_invocation
def doctor(invocation: Invocation, tenants: tuple[str, ...], *, local: bool, retry: bool) -> int:
    """Look for what is wrong here and at the tenants, and say what to do.

    Changes nothing, here or there. Here: settings, rights of files, database,
    key, room, clock, references to secrets. At each tenant, or at those named:
    name, connection, certificate, clock, its WSDL compared with what is sent,
    login, and each agent.

    Ends with 0 if nothing failed, with 78 if something here did, and with 1 if
    it was tenants only. Notes and warnings do not change that.

    \b
    Examples:
      erpsyncd doctor
      erpsyncd doctor acme
      erpsyncd doctor --local --output json
    """
    from erpsyncd.examination import examine, settings_problems  # noqa: PLC0415 -- it brings in all the rest

    try:
        settings = settings_of(invocation)
    except ConfigurationError as exc:
        findings = settings_problems(exc)
    else:
        findings = examine(settings, invocation.environ, tenants=tenants, local=local, retry=retry)
    if invocation.as_json:
        write_json("doctor", {"items": [{"scope": item.scope} | as_json(item) for item in findings]})
    else:
        write_text("\n".join(_as_text(findings)))
    return exit_code(findings)


def _as_text(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a paragraph for this machine and one for each tenant, and the sum."""
    width = max(len(finding.check) for finding in findings)
    for tenant, group in groupby(findings, key=lambda finding: finding.tenant):
        yield "This machine" if tenant is None else f"Tenant {tenant}"
        for finding in group:
            yield f"  {finding.result:7}  {finding.check:{width}}  {' '.join(finding.detail.split())}"
            if finding.remedy:
                yield f"  {'':7}  {'':{width}}  -> {' '.join(finding.remedy.split())}"
        yield ""
    counts = Counter(finding.result for finding in findings)
    yield ", ".join(f"{counts[result]} {result}" for result in reversed(Result) if counts[result])
