"""Whatever a tenant serves as its WSDL: it is compared, or not for a reason, soon and in short lines."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from wsdl_schemas import wsdl_path

from erpsyncd.domain.inspections import ContractReport, Greeting
from erpsyncd.errors import RemoteError
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.wire import Answer, Request
from fuzz_captures import ANYWHERE, SOAP_DIALECTS, Capture, HttpReply
from fuzz_reading import LIMITS, MAX_CPU_SECONDS, MAX_MESSAGE, SEED, Replay
from fuzz_replies import damaged_reply
from processor_time import TookTooLong, processor_time

pytestmark = pytest.mark.usefixtures("few_logs")

DIALECT = SOAP_DIALECTS[0]
AGENTS = ("SoPrincipal", "MDO", "ErpSync")
COUNT = 600
#: More differences than this say no more than that the servers are not the same.
MAX_MISMATCHES = 21
_WORD = re.compile(rb"""(="[^"]{0,200}")""")


class _OneAgent(Replay):
    """Serves one agent's WSDL, and parts of it by any name; there are no others."""

    def __init__(self, agent: str, reply: HttpReply) -> None:
        super().__init__(reply=reply)
        self._agent = agent

    async def ask(self, request: Request, max_body: int) -> Answer:
        if request.address.target.decode().partition("?")[0].endswith(f"/{self._agent}.svc"):
            return await super().ask(request, max_body)
        return Answer(404, (), b"")


async def _inspected(agent: str, reply: HttpReply) -> tuple[Greeting, ContractReport]:
    apis = NetServerApis(LIMITS, wire=lambda: _OneAgent(agent, reply))
    with processor_time(MAX_CPU_SECONDS):
        async with apis.inspect(DIALECT.tenant(ANYWHERE)) as inspector:
            reports = {report.agent: report for report in await inspector.contracts()}
            return await inspector.greet(), reports[agent]


def _problem(report: ContractReport) -> str | None:
    lines = (report.not_compared, *report.mismatches)
    if len(lines) > MAX_MISMATCHES + 1:
        return f"{len(lines)} lines"
    return next(
        (f"not one short line: {line!r}" for line in lines if not line.isprintable() or len(line) > MAX_MESSAGE), None
    )


def _captures() -> list[Capture]:
    headers = ((b"Content-Type", b"text/xml; charset=utf-8"), (b"Date", b"Wed, 25 Nov 2026 14:00:22 GMT"))
    return [
        Capture(
            dialect=DIALECT,
            action=agent,
            reply=HttpReply(status=200, headers=headers, body=wsdl_path(agent, DIALECT.erpsync_services).read_bytes()),
        )
        for agent in AGENTS
    ]


def _with_other_words(dice: Random, reply: HttpReply) -> HttpReply:
    """Let a few hundred attributes say what others do."""
    words = _WORD.split(reply.body)
    for _ in range(dice.choice((1, 30, 300))):
        place = dice.randrange(len(words) // 2) * 2 + 1
        words[place] = words[dice.randrange(len(words) // 2) * 2 + 1]
    return replace(reply, body=b"".join(words))


async def test_damaged_wsdl() -> None:
    """A description that was damaged in any way raises nothing, and what is wrong with it is told in short lines."""
    captures = _captures()
    results: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(COUNT):
        name = f"{SEED}/wsdl/{number}"
        dice = Random(name)
        capture = dice.choice(captures)
        reply = _with_other_words(dice, capture.reply)
        if dice.random() < 0.6:
            reply = damaged_reply(dice, capture, captures)
        try:
            _, report = await _inspected(
                capture.action, replace(reply, status=dice.choice((200, 200, 200, reply.status)))
            )
        except RemoteError as error:
            results["unreachable"] += 1
            problem = None if str(error).isprintable() and len(str(error)) <= MAX_MESSAGE else repr(error)
        except (Exception, TookTooLong) as error:  # noqa: BLE001 -- this is what the fuzz is looking for
            problem = repr(error)
        else:
            results["not compared" if report.not_compared else "differs" if report.mismatches else "same"] += 1
            problem = _problem(report)
        if problem:
            wrong.append(f"{name}: {problem:.800}")

    assert not wrong, f"ERPSYNCD_FUZZ_SEED={SEED}; the first ones:\n" + "\n".join(wrong[:10])
    for kind in ("not compared", "differs", "same"):
        assert results[kind] >= COUNT // 50, kind


def _multiplied(kind: str) -> str:
    """Return a description that makes much of itself, and is right otherwise."""
    text = wsdl_path("ErpSync", DIALECT.erpsync_services).read_text()
    root = text.index("<wsdl:definitions") + len("<wsdl:definitions")
    sequence = text.index("<xs:element", text.index('complexType name="ErpConnection"'))
    elements = "".join(f'<xs:element name="x{n}" type="p{n}:t"/>' for n in range(30_000))
    match kind:
        case "members":
            return f"{text[:sequence]}{elements}{text[sequence:]}"
        case "members and namespaces":
            namespaces = "".join(f' xmlns:p{n}="u{n}"' for n in range(30_000))
            return f"{text[:root]}{namespaces}{text[root:sequence]}{elements}{text[sequence:]}"
        case "a long namespace":
            return text.replace("Services86", "Services86" + "x" * 1000)
        case "a long action":
            return text.replace('soapAction="', 'soapAction="' + "x" * 10_000)
        case "control characters":
            return text.replace('soapAction="', 'soapAction="&#10;&#x9;&#x202e;x')
        case _:  # parts
            imports = "".join(f'<wsdl:import location="/x/ErpSync.svc?wsdl=w{n}"/>' for n in range(10_000))
            return text.replace("<wsdl:types>", f"{imports}<wsdl:types>")


@pytest.mark.parametrize(
    "kind", ["members", "members and namespaces", "a long namespace", "a long action", "control characters", "parts"]
)
async def test_multiplied_wsdl(kind: str) -> None:
    """A description of a megabyte is compared in linear time, and the report does not grow with it."""
    _, report = await _inspected("ErpSync", HttpReply(status=200, body=_multiplied(kind).encode()))

    assert _problem(report) is None
    assert bool(report.mismatches) is (kind not in ("parts", "members and namespaces"))
