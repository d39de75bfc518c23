"""What a tenant explains to people, as we may store and show it."""

from __future__ import annotations

from dataclasses import replace

from erpsyncd.domain.results import PluginResponse
from erpsyncd.netserver.calls import Call, Exchange, Reply
from erpsyncd.netserver.failures import without_secrets

MAX_EXPLANATION = 4096


def with_safe_explanations(exchange: Exchange[PluginResponse | None]) -> Exchange[PluginResponse | None]:
    """Return the exchange with texts that are freed of our secrets and at most 4096 characters long."""

    def read(call: Call, reply: Reply) -> PluginResponse | None:
        def safe(text: str) -> str:
            text = without_secrets(text, call.secrets)
            return text if len(text) <= MAX_EXPLANATION else f"{text[: MAX_EXPLANATION - 1]}…"

        found = exchange.read(call, reply)
        if found is None:
            return None
        return replace(
            found,
            user_explanation=safe(found.user_explanation),
            tech_explanation=safe(found.tech_explanation),
            error_code=safe(found.error_code),
            status=safe(found.status),
            changes=tuple(replace(each, table_name=safe(each.table_name)) for each in found.changes),
        )

    return replace(exchange, read=read)
