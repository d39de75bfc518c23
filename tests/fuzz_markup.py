"""Damage to XML that leaves it XML, or nearly: on its tags and texts, not on a tree, so that all can be written."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from fuzz_captures import SECRETS

Tokens = list[str]

_TOKEN = re.compile(r"<[^>]*>|[^<]+")
_NAME = re.compile(r"</?([\w:.-]+)")
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_SERVICES = "http://www.superoffice.net/ws/crm/NetServer/Services"
_NAMES = (
    *("Response", "Succeeded", "ExceptionInfo", "ExceptionType", "Message", "FriendlyText", "InnerException"),
    *("ErpConnectionId", "ConfigFields", "UserGroupAccessIds", "Deleted", "IsOk", "Status", "Changes", "ChildItems"),
    *("MDOListItem", "ChangedDataItem", "RecordId", "StringKeyValuePair", "Key", "Value", "int", "Ticket"),
    *("Fault", "faultcode", "faultstring", "detail", "ExceptionDetail", "Type", "Body", "Header", "Envelope", "x"),
)
_ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9))
_DOCTYPES = (
    "<!DOCTYPE x>",
    '<!DOCTYPE x SYSTEM "file:///etc/hostname">',
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
    f'<!DOCTYPE x [<!ENTITY a0 "ha">{_ENTITIES}]>',
    "<!DOCTYPE x [<!ENTITY % p \"<!ENTITY e 'x'>\"> %p;]>",
    '<!DOCTYPE x [<!ATTLIST x nil CDATA "true">]>',
)
#: What an element may hold instead of what it should; JSON has them as texts, too.
TEXTS = (
    *("", " ", "\n\t", "0", "-1", "+7", "007", "1", "2", "4711", "2147483647", "2147483648", "-2147483649"),
    *("9" * 19, "9" * 21, "9" * 5000, "1e5", "7.0", "0x10", "NaN", "Infinity", "true", "True", "FALSE", "no", "1 1"),
    *("\u0667", "\x85", "\u2028", "\u202e", "\U0001f600", "\ufffe", "\u0130", "a\tb\r\nc", "x" * 3000, "{}", "null"),
    *("SoSessionException", "SuperOffice.Exceptions.SoNotFoundException", "SoX, Version=1", "a.b.c", "http://x/?a=b&c"),
    *("FailedAuthentication", "Authentication failed", "wrong password", "MustUnderstand"),
    *SECRETS,
    *(f"no {secret}!" for secret in SECRETS),
    " and ".join(SECRETS),
    "\n".join(SECRETS[3].split()),
    "  ".join(SECRETS[3].split()),
    SECRETS[3].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
)


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _elements(tokens: Tokens) -> list[tuple[int, int]]:
    """Return where elements begin and end, as far as tags still match."""
    found: list[tuple[int, int]] = []
    open_tags: list[int] = []
    for place, token in enumerate(tokens):
        if token.startswith("</") and open_tags:
            found.append((open_tags.pop(), place))
        elif token.startswith("<") and token.endswith("/>"):
            found.append((place, place))
        elif token.startswith("<") and token[1:2] not in ("!", "?", "/"):
            open_tags.append(place)
    return found


def _pick(dice: Random, tokens: Tokens) -> tuple[int, int]:
    found = _elements(tokens)
    return dice.choice(found) if found else (0, len(tokens) - 1)


def _drop(dice: Random, tokens: Tokens) -> Tokens:
    start, end = _pick(dice, tokens)
    return tokens[:start] + tokens[end + 1 :]


def _double(dice: Random, tokens: Tokens) -> Tokens:
    start, end = _pick(dice, tokens)
    return tokens[: end + 1] + tokens[start : end + 1] * dice.choice((1, 1, 2, 50)) + tokens[end + 1 :]


def _move(dice: Random, tokens: Tokens) -> Tokens:
    start, end = _pick(dice, tokens)
    rest = tokens[:start] + tokens[end + 1 :]
    place = dice.randrange(len(rest) + 1)
    return rest[:place] + tokens[start : end + 1] + rest[place:]


def _wrap(dice: Random, tokens: Tokens) -> Tokens:
    start, end = _pick(dice, tokens)
    name = dice.choice(_NAMES)
    depth = dice.choice((1, 1, 2, 30, 120, 260, 3000))
    return [*tokens[:start], f"<{name}>" * depth, *tokens[start : end + 1], f"</{name}>" * depth, *tokens[end + 1 :]]


def _nest_in_itself(dice: Random, tokens: Tokens) -> Tokens:
    """Put an element into itself: a connection in a connection, an exception in an exception."""
    start, end = _pick(dice, tokens)
    if start == end:
        return tokens
    inner = tokens[start : end + 1]
    for _ in range(dice.choice((1, 3, 40))):
        inner = [tokens[start], *inner, *tokens[start + 1 : end + 1]]
    return tokens[:start] + inner[: 4000 + end - start] + tokens[end + 1 :]


def _rename(dice: Random, tokens: Tokens) -> Tokens:
    start, end = _pick(dice, tokens)
    name = dice.choice((*_NAMES, f"n{dice.randrange(10**9)}", "\u00e9l\u00e9ment", "1x", "a:b:c", ""))
    prefix = dice.choice(("", "", "h:", "s:", "nowhere:"))
    changed = list(tokens)
    for place in {start, end}:
        changed[place] = _NAME.sub(lambda found: found[0][: -len(found[1])] + prefix + name, tokens[place], count=1)
    return changed


def _retext(dice: Random, tokens: Tokens) -> Tokens:
    leaves = [place for place, token in enumerate(tokens) if not token.startswith("<")]
    if not leaves:
        return tokens
    changed = list(tokens)
    text = dice.choice(TEXTS)
    changed[dice.choice(leaves)] = dice.choice((escaped, escaped, escaped, _as_cdata, str))(text)
    return changed


def _as_cdata(text: str) -> str:
    return f"<![CDATA[{text}]]>"


def _fill(dice: Random, tokens: Tokens) -> Tokens:
    """Give an element other content than it has."""
    start, end = _pick(dice, tokens)
    if start == end:
        if not tokens[start].endswith("/>"):
            return tokens
        name = _NAME.match(tokens[start])
        opened = tokens[start][:-2] + ">"
        filled = [opened, escaped(dice.choice(TEXTS)), f"</{name[1] if name else ''}>"]
        return tokens[:start] + filled + tokens[start + 1 :]
    return [*tokens[: start + 1], escaped(dice.choice(TEXTS)), *tokens[end:]]


def _attribute(dice: Random, tokens: Tokens) -> Tokens:
    start, _ = _pick(dice, tokens)
    count = dice.choice((1, 1, 1, 2, 300, 5000))
    unique = dice.randrange(10**6)
    kinds: tuple[Callable[[int], str], ...] = (
        lambda _: f' z:nil="{dice.choice(("true", "1", "false", "TRUE", " true ", "maybe", ""))}" xmlns:z="{INSTANCE}"',
        lambda number: f' a{unique + number}="{number}"',
        lambda number: f' xmlns:p{unique + number}="urn:{number}"',
        lambda _: f' xmlns="{_SERVICES}{dice.choice((83, 84, 86, 88, 99, ""))}"',
        lambda _: ' xml:space="preserve" xml:lang="x" xml:base="file:///"',
        lambda _: f' s:mustUnderstand="1" a="{escaped(dice.choice(TEXTS))}"',
    )
    kind = dice.choice(kinds)
    more = "".join(kind(number) for number in range(count))
    changed = list(tokens)
    cut = -2 if tokens[start].endswith("/>") else -1
    changed[start] = f"{tokens[start][:cut]}{more}{tokens[start][cut:]}"
    return changed


def _prefix(dice: Random, tokens: Tokens) -> Tokens:
    old, new = dice.choice(("s:", "soap:", "h:", "i:", "a:", "<")), dice.choice(("q:", "", "h:", "<q:"))
    places = set(range(len(tokens))) if dice.random() < 0.7 else {dice.randrange(len(tokens))}
    return [token.replace(old, new) if place in places else token for place, token in enumerate(tokens)]


def _siblings(dice: Random, tokens: Tokens) -> Tokens:
    place = dice.randrange(len(tokens) + 1)
    unique = dice.randrange(10**6)
    many = dice.choice((10, 300, 300, 8000))
    kinds: tuple[Callable[[int], str], ...] = (
        lambda number: f"<u{unique + number}/>",
        lambda _: "<x/>",
        lambda number: f"<int>{number}</int>",
        lambda _: "<!-- x -->",
        lambda _: "<?x y?>",
        lambda number: f"<MDOListItem><Id>{number}</Id></MDOListItem>",
    )
    kind = dice.choice(kinds)
    return [*tokens[:place], *(kind(number) for number in range(many)), *tokens[place:]]


def _aside(dice: Random, tokens: Tokens) -> Tokens:
    """Put in what is no element: instructions, comments, references, document types, a second root."""
    place = dice.choice((0, dice.randrange(len(tokens) + 1), len(tokens)))
    aside = dice.choice(
        (
            *_DOCTYPES,
            *("<?xml version='1.0'?>", '<?xml version="1.1" encoding="utf-8"?>', "<?xml-stylesheet href='x'?>"),
            *("<!---->", "<!-- -- -->", "]]>", "<![CDATA[", "<", ">", "&", "&e;", "&a8;", "&#0;", "&#x1F600;"),
            *("&#xD800;", "&#99999999999;", "<x", "</x>", "\x00", "\x0b", "\ufffe", "<x/>", " " * 3000, "&#x20;" * 500),
        )
    )
    return [*tokens[:place], aside, *tokens[place:]]


def _say(dice: Random, tokens: Tokens) -> Tokens:
    """Put a header part, or a fault, to where some element ends."""
    text, kind = escaped(dice.choice(TEXTS)), escaped(dice.choice(TEXTS))
    part = dice.choice(
        (
            f"<ExceptionInfo><Message>{text}</Message><ExceptionType>{kind}</ExceptionType></ExceptionInfo>",
            f"<Succeeded>{text}</Succeeded>",
            f"<Fault><faultcode>{kind}</faultcode><faultstring>{text}</faultstring></Fault>",
        )
    )
    head = [place for place, token in enumerate(tokens) if token.endswith((":Header>", ":Body>"))]
    place = dice.choice(head) if head else 0
    if "Fault" in part and place and tokens[place].startswith("</"):
        prefix = tokens[place][2:].partition(":")[0]
        part = part.replace("<Fault", f"<{prefix}:Fault").replace("</Fault", f"</{prefix}:Fault")
    version = dice.choice((83, 84, 86, 88))
    part = re.sub(r"^<(\w+)>", rf'<\1 xmlns="{_SERVICES}{version}">', part)
    return [*tokens[:place], part, *tokens[place:]]


_MUTATIONS: tuple[Callable[[Random, Tokens], Tokens], ...] = (
    *(_drop, _double, _move, _wrap, _nest_in_itself, _rename, _retext, _retext, _retext, _fill, _fill),
    *(_attribute, _prefix, _siblings, _aside, _say, _say),
)


def damaged_markup(dice: Random, text: str, other: str) -> str:
    """Return the document with a few of its parts changed; `other` is one to take parts from."""
    tokens = _TOKEN.findall(text)
    for _ in range(dice.choice((1, 1, 2, 3, 5))):
        if len(tokens) > 20_000:
            break
        tokens = dice.choice(_MUTATIONS)(dice, tokens) or [""]
    if dice.random() < 0.05:
        start, end = _pick(dice, tokens)
        tokens[start : end + 1] = _TOKEN.findall(other)
    return "".join(tokens)
