"""Whatever an import document holds: it is read, or refused with places and reasons, soon and in bounded memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from contextlib import suppress
from random import Random

import pytest

from erpsyncd.errors import ConfigurationError
from erpsyncd.service.document import read_documents
from fuzz_documents import damaged_document, documents, multiplying_documents
from fuzz_reading import MAX_CPU_SECONDS, MAX_MESSAGE, SEED
from processor_time import processor_time

COUNT = 3500
#: A document is read once, by a command that ends; but it must not take the machine along.
MAX_PEAK = 64 * 1024 * 1024


def _read(name: str, content: bytes) -> str | None:
    """Read a document and return how it went, or raise what it must not."""
    try:
        with processor_time(MAX_CPU_SECONDS):
            read_documents([(name, content)])
    except ConfigurationError as error:
        for problem in error.problems:
            assert problem.isprintable(), problem
            assert len(problem) <= MAX_MESSAGE, problem
        return "refused"
    return "read"


def test_damaged_documents() -> None:
    """Damage to a valid document raises nothing but a ConfigurationError, in any format."""
    known = documents()
    results: Counter[str | None] = Counter()
    for number in range(COUNT):
        name, content = damaged_document(Random(f"{SEED}/document/{number}"), known)
        try:
            results[_read(name, content)] += 1
        except BaseException as error:
            error.add_note(f"ERPSYNCD_FUZZ_SEED={SEED}, document {number}, {name}: {content!r}")
            raise

    assert COUNT == results.total()
    assert results["read"] >= COUNT // 50
    assert results["refused"] >= COUNT // 2


@pytest.mark.parametrize(
    ("name", "text"),
    [pytest.param(name, text, id=f"{label} {name}") for label, name, text in multiplying_documents(20_000)],
)
def test_multiplying_documents(name: str, text: str) -> None:
    """Small documents that make much of themselves (aliases, depth, numbers, long runs) stay cheap."""
    content = text.encode()
    _read(name, content)
    # Apart from the bound on time: following each piece of memory takes several times what reading takes.
    tracemalloc.start()
    try:
        with suppress(ConfigurationError):
            read_documents([(name, content)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak <= MAX_PEAK
