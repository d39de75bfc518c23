"""Whatever a tenant answers: an answer or an error of the tree, soon, in bounded memory, without our secrets.

Real replies of the sandbox, damaged in tens of thousands of ways, go through the whole client. All of it follows from
one seed, which a failure shows: `ERPSYNCD_FUZZ_SEED=7 pytest tests/integration/test_fuzzed_replies.py` takes another.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from netserver_sockets import serving

from erpsyncd.netserver import failures, transport, xml_replies
from fuzz_captures import CREATE, LOGIN, REST_DIALECTS, SOAP_DIALECTS, Capture, Dialect, captured
from fuzz_greed import SIZE, greedy_rounds
from fuzz_memory import Task
from fuzz_reading import MAX_CPU_SECONDS, SEED, Reader
from fuzz_replies import damaged_reply, pumped_replies
from fuzz_wire import damaged_transfer
from processor_time import TookTooLong, processor_time

pytestmark = pytest.mark.usefixtures("few_logs")

#: How many damaged replies each share of the work reads: 21,000 in all.
SHARES = {
    **{f"{dialect.name}": (dialect, 3500) for dialect in SOAP_DIALECTS},
    **{f"rest-{number}": (REST_DIALECTS[0], 3500) for number in range(3)},
}
TRANSFERS = 700

#: Of a thousand replies, how many at least come to what: a fuzz that dies at the first byte would show nothing.
FEWEST = {
    "value": 50,
    "MalformedResponse": 100,
    "RemoteFault": 50,
    "RemoteUnavailable": 50,
    "RemoteRejected": 20,
    "Unauthorized": 10,
    "RemoteNotFound": 3,
    "OutcomeUnknown": 3,
    "RemoteForbidden": 1,
}
#: What reading one reply takes at most, in largest bodies; and what may be left behind by noise.
MAX_PEAK = 16 * SIZE
MAX_GROWTH = SIZE
MAX_BLOCKS = 1000

PROTOCOLS = pytest.mark.parametrize("dialect", [SOAP_DIALECTS[0], REST_DIALECTS[0]], ids=["soap", "rest"])


_CAPTURES: dict[Dialect, tuple[Capture, ...]] = {}


async def _captures_of(dialect: Dialect) -> tuple[Capture, ...]:
    """Ask the sandbox once for each dialect."""
    if dialect not in _CAPTURES:
        _CAPTURES[dialect] = await captured(dialect)
    return _CAPTURES[dialect]


def _found(wrong: list[str]) -> str:
    return f"{len(wrong)} replies, ERPSYNCD_FUZZ_SEED={SEED}; the first ones:\n" + "\n".join(wrong[:10])


def test_number_of_replies() -> None:
    """It is as large as was asked for."""
    assert sum(count for _, count in SHARES.values()) >= 20_000


@pytest.mark.parametrize("share", SHARES)
async def test_damaged_replies(share: str) -> None:
    """A reply that was damaged in any way is read or refused, and every kind of result comes up."""
    dialect, count = SHARES[share]
    reader = Reader(captures=await _captures_of(dialect))
    for number in range(count):
        await reader.read_damaged(f"{SEED}/{share}/{number}")

    assert not reader.wrong, _found(reader.wrong)
    assert count == reader.results.total()
    assert {} == {
        kind: reader.results[kind] for kind, fewest in FEWEST.items() if reader.results[kind] * 1000 < fewest * count
    }


@PROTOCOLS
async def test_undamaged_replies(dialect: Dialect) -> None:
    """The captures themselves are of all kinds, each action's with answers and with refusals."""
    captures = await _captures_of(dialect)
    results: dict[str, Counter[str]] = {}
    for number, capture in enumerate(captures):
        reader = Reader(captures=captures)
        await reader.read(f"capture {number}", capture, capture.reply)
        assert not reader.wrong, _found(reader.wrong)
        results.setdefault(capture.action, Counter()).update(reader.results)

    for action, found in results.items():
        assert found["value"], action
        assert len(found) > 1 or action == "update", action
    assert 7 + (dialect in SOAP_DIALECTS) == len(results)


@PROTOCOLS
async def test_long_runs(dialect: Dialect) -> None:
    """No pattern and no parser needs more than linear time: runs of 300,000 characters in every place are quick."""
    captures = await _captures_of(dialect)
    capture = next(each for each in captures if each.action == CREATE)
    reader = Reader(captures=captures)
    replies = pumped_replies(capture, 300_000)
    with processor_time(12 * MAX_CPU_SECONDS):
        for label, reply in replies:
            await reader.read(label, capture, reply)

    assert not reader.wrong, _found(reader.wrong)
    assert len(replies) == reader.results.total() > 400


@PROTOCOLS
async def test_damaged_transfers(dialect: Dialect) -> None:
    """What goes wrong on the wire (status lines, headers, lengths, chunks) is told from what was never sent."""
    captures = tuple(each for each in await _captures_of(dialect) if each.action != LOGIN)
    raw = b""

    async def respond(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    async with serving(respond) as server:
        reader = Reader(captures=captures, url=f"http://127.0.0.1:{server.port}")
        for number in range(TRANSFERS):
            dice = Random(f"{SEED}/transfer/{number}")
            capture = dice.choice(captures)
            raw = damaged_transfer(dice, capture.reply)
            await reader.read(f"{SEED}/transfer/{number}", capture, capture.reply)
        requests = len(server.requests)

    assert not reader.wrong, _found(reader.wrong)
    assert TRANSFERS == reader.results.total() <= requests
    for kind in ("value", "OutcomeUnknown", "MalformedResponse", "RemoteFault", "RemoteUnavailable", "Unauthorized"):
        assert reader.results[kind] >= TRANSFERS // 100, kind


def _leaks(text: str, _secrets: Any) -> str:
    return text


def _raises(_element: Any) -> int:
    raise ValueError("planted")


def _loses(*_: Any) -> float:
    raise IndexError("planted")


@pytest.mark.parametrize(
    ("module", "name", "defect", "complaint"),
    [
        (failures, "without_secrets", _leaks, "repeats 'placeholder"),
        (xml_replies, "read_bool", _raises, "ValueError: planted"),
        (transport, "retry_after_seconds", _loses, "IndexError: planted"),
    ],
)
async def test_planted_defects(
    module: Any, name: str, defect: Any, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fuzz finds what it is there to find."""
    reader = Reader(captures=await _captures_of(SOAP_DIALECTS[0]))
    xml_replies.carrier_reader.cache_clear()
    monkeypatch.setattr(module, name, defect)
    if module is xml_replies:
        monkeypatch.setitem(xml_replies._READERS, xml_replies.Kind.BOOL, defect)
    for number in range(300):
        await reader.read_damaged(f"1/planted/{number}")
    xml_replies.carrier_reader.cache_clear()

    assert any(complaint in each for each in reader.wrong)


def test_what_never_ends_is_stopped() -> None:
    """A reply that is read for ever makes the fuzz fail, not hang."""

    def read_for_ever() -> None:
        while True:
            pass

    with pytest.raises(TookTooLong), processor_time(0.05):
        read_for_ever()


def _memory_task(captures: tuple[Capture, ...], directory: Path) -> Path:
    """Write down everything that the other process is to read: made there, it would be counted there."""
    rows = []
    for turn in range(3):
        row = []
        for number in range(400):
            dice = Random(f"{SEED}/memory/{turn}/{number}")
            capture = dice.choice(captures)
            row.append((capture, damaged_reply(dice, capture, captures)))
        rows.append(tuple(row))
    rounds = []
    for turn, replies in enumerate(greedy_rounds(captures[0].dialect.protocol, captures[0].reply.headers)):
        paths = [(label, directory / f"{turn}-{number}") for number, (label, _) in enumerate(replies)]
        for (_, reply), (_, path) in zip(replies, paths, strict=True):
            path.write_bytes(pickle.dumps(reply))
        rounds.append(tuple(paths))
    task = directory / "task"
    task.write_bytes(pickle.dumps(Task(captures=captures, rows=tuple(rows), rounds=tuple(rounds))))
    return task


def _measured(task: Path) -> Any:
    script = Path(__file__).parents[1] / "fuzz_memory.py"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # it takes memory, too
    ran = subprocess.run([sys.executable, script, task], capture_output=True, check=False, timeout=600, env=environ)
    assert 0 == ran.returncode, ran.stderr.decode()
    return json.loads(ran.stdout.splitlines()[-1])


@PROTOCOLS
async def test_memory(dialect: Dialect, tmp_path: Path) -> None:
    """A reply takes a bounded multiple of the largest body that is read, and nothing stays of what was read."""
    found = _measured(_memory_task(await _captures_of(dialect), tmp_path))

    assert not found["wrong"], _found(found["wrong"])
    assert {} == {label: peak for label, peak in found["peaks"].items() if peak > MAX_PEAK}
    assert len(found["peaks"]) > 10
    assert found["rows_grown"] <= MAX_GROWTH
    assert found["rounds_grown"] <= MAX_GROWTH
    assert found["blocks_grown"] <= MAX_BLOCKS
