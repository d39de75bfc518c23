"""What a tenant explains to people, as we may store and show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from erpsyncd.domain.results import PluginResponse
from erpsyncd.netserver.calls import Call, Exchange, Reply
from erpsyncd.netserver.failures import without_secrets
from erpsyncd.netserver.whole_answers import kept

MAX_EXPLANATION = 4096
#: So many texts of one answer are remembered as safe: names of members and tables come again and again.
_REMEMBERED = 1024

Answers = tuple[PluginResponse, ...]


def with_safe_explanations(exchange: Exchange[PluginResponse | None]) -> Exchange[PluginResponse | None]:
    """Return the exchange with texts that are freed of our secrets and at most 4096 characters long."""

    def read(call: Call, reply: Reply) -> PluginResponse | None:
        found = exchange.read(call, reply)
        return None if found is None else _safe((found,), call)[0]

    return replace(exchange, read=read)


def with_all_safe(exchange: Exchange[Answers | None]) -> Exchange[Answers | None]:
    """Return the exchange of many answers as `with_safe_explanations` does that of one."""

    def read(call: Call, reply: Reply) -> Answers | None:
        found = exchange.read(call, reply)
        return None if found is None else _safe(found, call)

    return replace(exchange, read=read)


def _safe(answers: Answers, call: Call) -> Answers:
    """Return the answers that are kept; those that would make them too large together are left out."""
    hide = lru_cache(_REMEMBERED)(lambda text: without_secrets(text, call.secrets))
    whole = kept((answer.received for answer in answers), hide)
    return tuple(_safe_one(answer, received, hide) for answer, received in zip(answers, whole, strict=False))


def _safe_one(found: PluginResponse, received: object, hide: Callable[[str], str]) -> PluginResponse:
    def safe(text: str) -> str:
        text = hide(text)
        return text if len(text) <= MAX_EXPLANATION else f"{text[: MAX_EXPLANATION - 1]}…"

    return replace(
        found,
        user_explanation=safe(found.user_explanation),
        tech_explanation=safe(found.tech_explanation),
        error_code=safe(found.error_code),
        status=safe(found.status),
        changes=tuple(replace(each, table_name=safe(each.table_name)) for each in found.changes),
        received=received,
    )
