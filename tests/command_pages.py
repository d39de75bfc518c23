"""Writes man/erpsyncd.1 and docs/reference/commands.md from the commands themselves: `make reference`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click

from erpsyncd.cli.main import cli
from erpsyncd.cli.options import common_options

ROOT = Path(__file__).parents[1]
MAN_PAGE = ROOT / "man" / "erpsyncd.1"
PAGE = ROOT / "docs" / "reference" / "commands.md"
Option: TypeAlias = tuple[str, str]
"""Its names with what it takes, and its help."""

#: Wider than any usage line: pages wrap by themselves.
_WIDTH = 1000

EXIT_CODES = {
    0: "All is done, or there was nothing to do.",
    1: "It failed.",
    2: "The command line cannot be meant.",
    3: "Some tenants or connections failed; the rest is done.",
    4: "Changes are pending (plan --detailed-exitcode).",
    5: "Something drifted that nobody decided to ignore (drift).",
    6: "Stopped by a safety limit.",
    75: "It may work later: nothing was reachable, or another process holds the store.",
    77: "The credentials were refused.",
    78: "The settings, a document, the key or the database cannot be used as they are.",
    130: "Somebody ended it with Ctrl-C.",
}
ENVIRONMENT = {
    "ERPSYNCD_CONFIG": "The settings file, where --config does not name one.",
    "ERPSYNCD__SECTION__KEY": "Any setting: remote.settle is ERPSYNCD__REMOTE__SETTLE.",
    "STATE_DIRECTORY": "The state directory, as systemd gives it.",
    "CREDENTIALS_DIRECTORY": "Where @{systemd:NAME} and the key erpsyncd.key are, as systemd gives it.",
}
FILES = {
    "/etc/erpsyncd/erpsyncd.toml": "The settings; it need not be there.",
    "/var/lib/erpsyncd": "The state directory of root's: erpsyncd.db and erpsyncd.key.",
    "~/.local/state/erpsyncd": "The state directory of anybody else, or $XDG_STATE_HOME/erpsyncd.",
}


@dataclass(frozen=True, kw_only=True)
class Described:
    """One command as pages show it."""

    path: str
    usage: str
    paragraphs: tuple[str, ...]
    examples: tuple[str, ...]
    options: tuple[Option, ...]


def walk() -> Iterator[tuple[str, ...]]:
    """Yield every command by the words that call it, the root one first."""
    yield ()
    yield from _below(cli, click.Context(cli, info_name="erpsyncd"), ())


def _below(group: click.Group, context: click.Context, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name)
        if isinstance(command, click.Group):
            yield from _below(command, click.Context(command, info_name=name, parent=context), (*words, name))


def describe(words: tuple[str, ...]) -> Described:
    """Read one command."""
    command: click.Command = cli
    context = click.Context(cli, info_name="erpsyncd", terminal_width=_WIDTH, max_content_width=_WIDTH)
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        command, context = found, click.Context(found, info_name=word, parent=context)
    paragraphs, examples = _text(inspect.cleandoc(command.help or ""))
    everywhere = shared_options() if words else ()
    options = tuple(option for option in _options(command, context) if option not in everywhere)
    usage = command.get_usage(context).removeprefix("Usage: ")
    return Described(path=context.command_path, usage=usage, paragraphs=paragraphs, examples=examples, options=options)


def shared_options() -> tuple[Option, ...]:
    """Return the options that every command takes, and `--help`."""
    command = click.command()(common_options(lambda: None))
    return tuple(_options(command, click.Context(command, terminal_width=_WIDTH)))


def _options(command: click.Command, context: click.Context) -> Iterator[Option]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield record[0].removeprefix("-h, "), " ".join(record[1].split())


def _text(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the paragraphs of a help text, each as one line, and its examples."""
    paragraphs: list[str] = []
    examples: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        verbatim, body = block.startswith("\b"), block.removeprefix("\b").strip("\n")
        if verbatim and body.lstrip().startswith("Example"):
            examples += [line.strip() for line in body.splitlines()[1:]]
        elif body.strip():
            paragraphs.append(" ".join(body.split()))
    return tuple(paragraphs), tuple(examples)


# The manual page -----------------------------------------------------------------------------------------------


def man_page() -> str:
    """Return the page for man(1)."""
    root, *commands = (describe(words) for words in walk())
    lines = [
        '.\\" Written by `make reference` from the commands. Change those.',
        '.TH ERPSYNCD 1 "" "erpsyncd" "User Commands"',
        ".SH NAME",
        "erpsyncd \\- keep the ERP connections of SuperOffice CRM as described",
        ".SH SYNOPSIS",
        *(line for described in (root, *commands) for line in (f".B {_roff(described.usage)}", ".br")),
        ".SH DESCRIPTION",
        *_man_text(root.paragraphs[1:]),
        ".SH OPTIONS",
        *_man_options(root.options),
        ".SH COMMANDS",
        "Every command takes",
        *(f".B {_roff(name.partition(' ')[0])}," for name, _ in shared_options()[:-1]),
        "and",
        f".BR {_roff(shared_options()[-1][0])} ,",
        "before or after its name.",
        *(line for described in commands for line in _man_command(described)),
        ".SH EXIT STATUS",
        *_man_options((str(code), meaning) for code, meaning in EXIT_CODES.items()),
        ".SH ENVIRONMENT",
        *_man_options(ENVIRONMENT.items()),
        ".SH FILES",
        *_man_options(FILES.items()),
        ".SH EXAMPLES",
        *_man_examples(root.examples),
    ]
    return "\n".join(lines) + "\n"


def _man_command(described: Described) -> Iterator[str]:
    yield f'.SS "{_roff(described.usage)}"'
    yield from _man_text(described.paragraphs)
    yield from _man_options(described.options)
    yield from _man_examples(described.examples)


def _man_text(paragraphs: tuple[str, ...]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        yield from ([".PP"] if number else [])
        yield _roff(paragraph)


def _man_options(options: Iterable[Option]) -> Iterator[str]:
    for name, text in options:
        yield ".TP"
        yield f".B {_roff(name)}"
        yield _roff(text)


def _man_examples(examples: tuple[str, ...]) -> Iterator[str]:
    if examples:
        yield from (".PP", ".EX", *(f"    {_roff(example)}" for example in examples), ".EE")


def _roff(text: str) -> str:
    """Return text as troff reads it: no escapes but ours, no request at the start of a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in {".", "'"} else escaped


# The page of the reference -------------------------------------------------------------------------------------


def page() -> str:
    """Return docs/reference/commands.md."""
    root, *commands = (describe(words) for words in walk())
    parts = [
        "# Commands\n",
        "<!-- Written by `make reference` from the commands. Change those. -->\n",
        _section(root),
        "Every command takes these, before or after its name:\n",
        _list(shared_options()),
        *(_section(described) for described in commands),
        "## Exit codes\n",
        "| Code | Meaning |\n| --- | --- |\n" + "".join(f"| {code} | {text} |\n" for code, text in EXIT_CODES.items()),
    ]
    return "\n".join(parts)


def _section(described: Described) -> str:
    options = [option for option in described.options if option not in shared_options()]
    parts = [f"## {described.path}\n", f"```\n{described.usage}\n```\n"]
    parts += [f"{paragraph}\n" for paragraph in described.paragraphs]
    parts += [_list(options)] if options else []
    parts += ["```sh\n" + "".join(f"{example}\n" for example in described.examples) + "```\n"]
    return "\n".join(parts)


def _list(options: Iterable[Option]) -> str:
    return "".join(f"- `{name}`: {text}\n" for name, text in options)


if __name__ == "__main__":
    MAN_PAGE.parent.mkdir(exist_ok=True)
    MAN_PAGE.write_text(man_page(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
