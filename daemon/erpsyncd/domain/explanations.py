"""What tenants explain to people: in one of its languages, and of several answers together. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from erpsyncd.domain.results import PluginResponse

_TRANSLATION = re.compile(r'([A-Za-z]{2}(?:-[A-Za-z]{2})?):"([^"]*)"')
_TRANSLATIONS = re.compile(rf"{_TRANSLATION.pattern}(?:;{_TRANSLATION.pattern})*(?:;\Z)?")

#: Some JSON settings of .NET write a small first letter.
_CHANGES = frozenset({"Changes", "changes"})


def in_language(text: str, language: str | None = None) -> str:
    """Return a text with each multi-language part (`US:"Norway";NO:"Norge"`) in one language: this one, else its first.

    Their codes are two letters of a language or of a country, so `nb-NO` finds `nb-NO`, `NO` and `nb`, in this order.
    """
    primary, _, region = (language or "").lower().partition("-")
    wanted = [code for code in (f"{primary}-{region}", region, primary) if code.strip("-")]

    def chosen(found: re.Match[str]) -> str:
        parts = _TRANSLATION.findall(found.group())
        translations = {code.lower(): words for code, words in reversed(parts)}
        first: str = parts[0][1]
        return next((translations[code] for code in wanted if code in translations), first)

    return _TRANSLATIONS.sub(chosen, text) if '"' in text else text


def without_changes(received: Any) -> Any:
    """Return what came, without the lists of changed records: they may be nil, missing or empty, and say the same."""
    if isinstance(received, list):
        return [without_changes(each) for each in received]
    if isinstance(received, dict):
        return {name: value for name, value in received.items() if name not in _CHANGES}
    return received


def combined(responses: Sequence[PluginResponse]) -> PluginResponse:
    """Return many answers as one: what they explain one after the other, each sentence once; all that they changed.

    It says yes if none of them says no.
    """
    return PluginResponse(
        is_ok=all(each.is_ok for each in responses),
        user_explanation=_joined(each.user_explanation for each in responses),
        tech_explanation=_joined(each.tech_explanation for each in responses),
        error_code=_joined(each.error_code for each in responses),
        status=_joined(each.status for each in responses),
        changes=tuple(chain.from_iterable(each.changes for each in responses)),
        received=[each.received for each in responses],
    )


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))
