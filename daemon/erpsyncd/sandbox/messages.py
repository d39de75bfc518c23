"""The HTTP words that the parts of the sandbox hand to each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, read completely."""

    method: str
    path: str
    """Percent-decoded, without the query."""
    query: str
    headers: Mapping[str, str] = field(repr=False)
    """By lower case name; repeated ones are joined by commas."""
    body: bytes = field(repr=False)
    connection: int
    open_connections: int

    def header(self, name: str) -> str:
        """Return a header's value, empty where it is missing."""
        return self.headers.get(name, "")

    def parameter(self, name: str) -> str:
        """Return the first value of a query parameter, empty where it is missing."""
        return parse_qs(self.query).get(name, [""])[0]

    @property
    def media_type(self) -> str:
        """The content type in lower case, without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def accepts(self, *media_types: str) -> bool:
        """Tell whether the client names one of these in Accept."""
        named = {part.partition(";")[0].strip().lower() for part in self.header("accept").split(",")}
        return not named.isdisjoint(media_types)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer, as it goes out."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup:
    """No answer: the connection is closed."""

    reset: bool = False


class Refused(Exception):
    """The request is turned down before any work, with this answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """Return a value as JSON; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status=status, body=body, headers={"Content-Type": "application/json; charset=utf-8", **named})


def html_reply(status: int, title: str, **headers: str) -> Reply:
    """Return the kind of page that IIS shows for what never got to NetServer."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = f"<!DOCTYPE html><html><head><title>{status} - {title}</title></head><body><h2>{title}</h2></body></html>"
    return Reply(status=status, body=body.encode(), headers={"Content-Type": "text/html", **named})
