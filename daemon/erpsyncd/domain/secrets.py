"""A secret has a type, and a reference to a secret has one too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: One sign that stands for each character; and a part of a value that is hidden, as in a connection string.
_ALL_MASK = re.compile(r"([*•●∙·#xX_.-])\1*")
_SOME_MASK = re.compile(r"([*•●])\1\1")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not reach a log or a traceback.

    `reveal()` is called where a request is written, a value is sealed or a fingerprint is taken, and
    nowhere else.
    """

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    @property
    def looks_hidden(self) -> bool:
        """Whether this may be what a tenant shows in the place of a value: nothing, or one sign again and again."""
        text = self._value.strip()
        return not text or bool(_ALL_MASK.fullmatch(text) or _SOME_MASK.search(text))

    def __str__(self) -> str:
        return "***"


class Scheme(StrEnum):
    """Where a referenced secret is kept."""

    ENV = "env"
    """A variable of this process's environment."""

    FILE = "file"
    """A file, named by its absolute path."""

    SYSTEMD = "systemd"
    """A systemd credential, named as in `LoadCredential=`."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A secret that is kept elsewhere, such as `@{env:ACME_PASSWORD}`."""

    scheme: Scheme
    name: str

    def __str__(self) -> str:
        return f"@{{{self.scheme}:{self.name}}}"


@dataclass(frozen=True, slots=True)
class Damaged:
    """A stored value that does not open any more. It fails whoever needs it, and importing it again mends it."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Withheld:
    """A whole value that the document leaves to the store, `@{stored}`; in a store, one that nobody gave it yet."""

    def __str__(self) -> str:
        return "@{stored}"


@dataclass(frozen=True, slots=True)
class Template:
    """A value as the document gives it: literal text, references, or both in a row; or nothing but a marker."""

    parts: tuple[str | Reference | Damaged | Withheld, ...] = field(repr=False)

    @property
    def references(self) -> frozenset[Reference]:
        """The references that this value needs."""
        return frozenset(part for part in self.parts if isinstance(part, Reference))

    @property
    def holds_secret_text(self) -> bool:
        """Whether there is literal text in it, which has to be encrypted at rest."""
        return any(isinstance(part, str) and part for part in self.parts)

    @property
    def is_withheld(self) -> bool:
        """Whether the value is not here."""
        return self == WITHHELD

    @property
    def damage(self) -> str | None:
        """Why the stored value does not open, if it does not."""
        return next((str(part) for part in self.parts if isinstance(part, Damaged)), None)

    def resolve(self, values: Mapping[Reference, Secret]) -> Secret:
        """Return the value with each reference replaced.

        Raises:
            KeyError: a reference is not in `values`, or the value is damaged or not here; the key is that part.
        """
        return Secret("".join(part if isinstance(part, str) else _value_of(part, values) for part in self.parts))

    def source(self) -> str:
        """Return the text that `parse_template` reads as this value again.

        Raises:
            ValueError: the value is damaged, so nobody knows its text.
        """
        if self.damage is not None:
            raise ValueError(self.damage)
        return "".join(part.replace("@{", "@@{") if isinstance(part, str) else str(part) for part in self.parts)


#: What stands for a value that the document does not have.
WITHHELD = Template((Withheld(),))


def withheld_names(templates: Mapping[str, Template]) -> tuple[str, ...]:
    """Return the names of the values that are not here."""
    return tuple(name for name, template in templates.items() if template.is_withheld)


def not_known(names: Iterable[str]) -> str:
    """Say which values are not here, and what to do."""
    return f"{' and '.join(names)} is @{{stored}}, but was never given to this store; import the entry with its value"


def _value_of(part: Reference | Damaged | Withheld, values: Mapping[Reference, Secret]) -> str:
    if not isinstance(part, Reference):
        raise KeyError(part)
    return values[part].reveal()


_TOKEN = re.compile(r"@@\{|@\{([^}]*)\}|@\{")


def parse_template(text: str) -> Template:
    """Read a value of the import document: `@{scheme:name}` is a reference, `@@{` a literal `@{`.

    Raises:
        ValueError: a reference is not closed, names an unknown scheme or nothing at all, or `@{stored}` is only a
            part of the value. The message never repeats the text, which may hold a secret.
    """
    if text == str(WITHHELD.parts[0]):
        return WITHHELD
    parts: list[str | Reference] = []
    literal = ""
    end = 0
    for token in _TOKEN.finditer(text):
        literal += text[end : token.start()]
        end = token.end()
        if token.group() == "@@{":
            literal += "@{"
            continue
        if token.group(1) is None:
            raise ValueError("a reference that starts with @{ is not closed; write @@{ for a literal @{")
        if literal:
            parts.append(literal)
            literal = ""
        parts.append(_parse_reference(token.group(1)))
    literal += text[end:]
    if literal or not parts:
        parts.append(literal)
    return Template(tuple(parts))


def _parse_reference(text: str) -> Reference:
    if text == "stored":
        raise ValueError("@{stored} stands for a whole value, nothing can stand beside it; write @@{ for a literal @{")
    scheme, colon, name = text.partition(":")
    if not colon or scheme not in tuple(Scheme) or not name:
        raise ValueError("a reference must be @{env:NAME}, @{file:PATH} or @{systemd:NAME}; write @@{ for a literal @{")
    reference = Reference(Scheme(scheme), name)
    if reference.scheme is Scheme.FILE and not name.startswith("/"):
        raise ValueError("a reference @{file:PATH} must name an absolute path")
    if reference.scheme is Scheme.SYSTEMD and ("/" in name or name in {".", ".."}):
        raise ValueError("a reference @{systemd:NAME} must be the bare name of a credential")
    return reference
