"""Damage to import documents: valid ones in TOML, YAML and JSON, and what multiplies in each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from random import Random
from typing import Any

import yaml

from erpsyncd.service.formats import read_content
from fuzz_objects import damaged_object

_TOML = """
[[tenants]]
name = "acme"
url = "https://crm.acme.example"
protocol = "rest"
erpsync_services = 88
calls_per_second = 2.5
[tenants.auth]
kind = "password"
username = "sync@acme.example"
password = "@{env:ACME_PASSWORD}"
application_token = "@{file:/etc/erpsyncd/acme.token}"

[[tenants]]
name = "other"
url = "https://crm.other.example"
auth = {kind = "ticket", ticket = '7T:x'}

[[connections]]
tenant = "acme"
key = "visma-no"
erp_connector_id = 1
display_name = "US:\\"Norway\\";NO:\\"Norge\\""
display_description = "two\\nlines"
active = false
user_group_access_ids = [3, 1, 3]
associate_access_ids = []
state = "present"
[connections.config_fields]
Client = "F0001"
Password = "x@{systemd:acme-visma}@@{"

[[connections]]
tenant = "acme"
key = "old"
state = "absent"
"""
_WORDS = (
    *(
        "9" * 5000,
        "1e999999",
        "-1",
        "0",
        "0.5",
        "nan",
        "inf",
        "-inf",
        "NaN",
        "Infinity",
        "0x10",
        "0o7",
        "1_000",
        "1:30",
    ),
    *("2026-01-31", "2026-13-45T99:99:99Z", "07:32:00", "true", "no", "~", "null", "", "''", '""', '"""', "'''", "!x"),
    *("&a", "*a", "<<: *a", "? x", "- ", "|", ">", "@", "`", "%YAML 9.9", "---", "...", "!!python/object:os.system"),
    *(
        "[",
        "]",
        "{",
        "}",
        "[[",
        "]]",
        "=",
        ":",
        ": ",
        ",",
        "\n",
        "\r\n",
        "\t",
        " " * 40,
        "#",
        '"\\ud800"',
        "\\U0011FFFF",
    ),
    *(
        "\x00",
        "\x7f",
        "\u2028",
        "\ufeff",
        "\U0001f600",
        "\u202e",
        "@{env:",
        "@{",
        "@{file:x}",
        "@@{",
        "a.b.c",
        "x" * 3000,
    ),
    *("[[tenants]]", "[tenants]", "[connections.config_fields]", "tenants", "connections", "auth", "proxy", "url"),
    *("https://u:p@h/", "http://[", "https://\u0130", "https://x:99999", "[" * 300, "{a: " * 300, '{"a":' * 300),
)
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


def documents() -> tuple[tuple[str, str], ...]:
    """Return names and texts of valid documents, the same ones in each format."""
    demo = files("erpsyncd.config.demo")
    texts = [
        _TOML,
        *(each.read_text() for each in demo.iterdir() if each.name.endswith(".toml") and "[[" in each.read_text()),
    ]
    found: list[tuple[str, str]] = []
    for text in texts:
        values: Any = read_content("x.toml", text.encode())
        plain = json.loads(json.dumps(values))
        found += [("x.toml", text), ("x.json", json.dumps(plain)), ("x.yaml", yaml.safe_dump(plain))]
    return tuple(found)


def damaged_document(dice: Random, known: tuple[tuple[str, str], ...]) -> tuple[str, bytes]:
    """Return the name and the content of a damaged document; the same for the same dice."""
    name, text = dice.choice(known)
    luck = dice.random()
    if name == "x.json" and luck < 0.5:
        text = damaged_object(dice, text, dice.choice([other for kind, other in known if kind == name]))
    elif luck < 0.8:
        text = _damaged_words(dice, text)
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    if luck > 0.7:
        for _ in range(dice.choice((1, 2, 5))):
            start = dice.randrange(len(content) + 1)
            end = start + dice.choice((0, 1, 5, 60))
            again = content[start : start + 80] * dice.choice((1, 50))
            content[start:end] = dice.choice(
                (b"", again, bytes([dice.randrange(256)]), dice.choice(_WORDS).encode("utf-8"))
            )
    return dice.choice((name, name, name, name, "-", "x.toml", "x.yaml", "x.json")), bytes(content)


def _damaged_words(dice: Random, text: str) -> str:
    words = _TOKEN.findall(text)
    for _ in range(dice.choice((1, 1, 2, 4))):
        place = dice.randrange(len(words))
        other = dice.randrange(len(words))
        kind = dice.randrange(5)
        if kind == 0:
            words[place] = dice.choice(_WORDS)
        elif kind == 1:
            words.insert(place, dice.choice(_WORDS))
        elif kind == 2:
            del words[place : place + dice.choice((1, 1, 5))]
        elif kind == 3:
            words[place:place] = words[other : other + dice.choice((1, 5, 60))] * dice.choice((1, 1, 40))
        else:
            words[place], words[other] = words[other], words[place]
        words = words or [""]
    return "".join(words)


def multiplying_documents(size: int) -> Iterator[tuple[str, str, str]]:
    """Yield a label, a name and a text of documents that are small for what they make of a parser's time."""
    yield from (
        (
            "laughs",
            "x.yaml",
            "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
        ),
        ("shared tables", "x.yaml", _shared("tenants", size)),
        ("shared connections", "x.yaml", _shared("connections", size)),
        (
            "shared lists",
            "x.yaml",
            "a: &a [" + "1, " * size + "]\nconnections: [" + "{associate_access_ids: *a}, " * 900 + "]",
        ),
        ("unknown keys", "x.json", "{" + ",".join(f'"k{n}": 1' for n in range(size)) + "}"),
        ("dotted keys", "x.toml", ".".join("a" * 3000) + " = 1"),
        ("dotted headers", "x.toml", "".join(f"[{'.'.join('a' * 30)}.b{n}]\n" for n in range(size // 10))),
        ("deep TOML", "x.toml", "a = " + "[" * size),
        ("deep YAML", "x.yaml", "[" * size),
        ("deep JSON", "x.json", "[" * size),
        ("long number", "x.json", '{"tenants": ' + "9" * size * 10 + "}"),
        ("long number", "x.toml", "tenants = " + "9" * size * 10),
        ("long number", "x.yaml", "tenants: " + "9" * size * 10),
        ("long fraction", "x.yaml", "tenants: 1." + "9" * size * 10 + "e"),
        ("references", "x.json", json.dumps({"connections": [{"config_fields": {"a": "@{" * size * 5}}]})),
        ("names", "x.json", json.dumps({"connections": [{"display_name": 'US:"' * size * 5}]})),
    )
    for blank in ("\n", " ", "\t", "\r\n", "a", "-", ".", "=", "#\n", "[", '"', "'", "a=1\n", "- ", ": ", "\\"):
        for name in ("-", "x.toml", "x.yaml", "x.json"):
            yield f"{blank!r}s", name, blank * (size * 10) + "x"


def _shared(what: str, size: int) -> str:
    keys = ", ".join(f"k{n}: 1" for n in range(size // 10))
    return f"{what}: [&t {{{keys}}}, " + "*t, " * 900 + "]"
