"""Faults of connections and status codes: what comes back is no answer of NetServer's at all."""

from __future__ import annotations

import fault_kinds as kinds
import wire_faults as wire
from erpsyncd.errors import Effect
from fault_cases import FaultCase
from fault_kinds import NETWORK, STATUSES

#: These meet a connection before any request, so the proxy cannot bring them about for a single one.
UNREACHABLE = (
    FaultCase(
        group=NETWORK,
        name="connection refused",
        what="Nobody listens at the tenant's address.",
        error_class="unreachable",
        effect=Effect.NEVER_SENT,
        read_attempts=3,
        save_attempts=3,
        note="It is the whole tenant's trouble, so none of its connections is done.",
    ),
    FaultCase(
        group=NETWORK,
        name="no answer to a connect",
        what="A firewall swallows the packets, and connecting takes longer than 15 seconds.",
        error_class="unreachable",
        effect=Effect.NEVER_SENT,
        read_attempts=3,
        save_attempts=3,
        note="As above.",
    ),
)

NETWORK_CASES = (
    kinds.lost(name="reset", what="The connection is reset once the request has arrived.", fault=wire.reset),
    kinds.lost(
        name="closed without an answer", what="The connection is closed, and nothing was said.", fault=wire.hang_up
    ),
    kinds.too_slow(name="silence", what="Nothing comes back until the deadline (`remote.deadline`).", fault=wire.hang),
    kinds.lost(
        name="headers, then closed",
        what="The answer's headers come, then the connection is closed.",
        fault=wire.headers_only(wire.hang_up),
    ),
    kinds.too_slow(
        name="headers, then silence",
        what="The answer's headers come, then nothing until the deadline.",
        fault=wire.headers_only(wire.hang),
    ),
    kinds.lost(
        name="reset within the answer",
        what="A part of the answer comes, then a reset.",
        fault=wire.part_of_an_answer(slice(-20), wire.reset),
    ),
    kinds.lost(
        name="closed within the answer",
        what="A part of the answer comes, then the connection is closed.",
        fault=wire.part_of_an_answer(slice(-20), wire.hang_up),
    ),
    kinds.lost(
        name="cut chunk",
        what="An answer in chunks ends in the middle of one.",
        fault=wire.cut_chunk,
    ),
    kinds.too_slow(
        name="drop by drop",
        what="The answer comes byte by byte and would take for ever.",
        fault=wire.drip_slowly,
        note="The deadline is for the whole call, not for each byte.",
    ),
    kinds.too_slow(
        name="a gigabyte, slowly",
        what="An answer of 1 GB is announced and comes byte by byte.",
        fault=wire.drip_a_gigabyte,
    ),
    kinds.lost(name="no HTTP", what="What comes back is not HTTP.", fault=wire.garbage_status_line),
    kinds.lost(name="headers without end", what="Headers come that never end.", fault=wire.endless_headers),
)

STATUS_CASES = (
    kinds.once(
        group=STATUSES,
        name="301",
        what="The address answers with a redirection to another host.",
        error_class="rejected",
        fault=wire.redirection("301 Moved Permanently", "/Remote/Services86/ErpSync.svc"),
        note="It is never followed: that host gets neither the password nor the ticket. Set `url` to the address that "
        "answers itself.",
    ),
    kinds.once(
        group=STATUSES,
        name="308",
        what="As 301, and asks for the same request to be sent there.",
        error_class="rejected",
        fault=wire.redirection("308 Permanent Redirect", "/api/v1/Agents/ErpSync/SaveConnection"),
    ),
    kinds.once(
        group=STATUSES,
        name="400",
        what="The request is called malformed.",
        error_class="rejected",
        fault=wire.page("400 Bad Request"),
    ),
    kinds.turned_away(
        name="401 (SOAP)",
        what="The session is not accepted, and one from a fresh login is not either.",
        error_class="unauthorized",
        ends_pass=True,
        fault=wire.page("401 Unauthorized"),
        note="Repeating a login can lock the account, so nothing more is sent. With a fixed ticket or token there is "
        "no fresh login, and the first refusal counts.",
        **kinds.LOGIN_AGAIN,
    ),
    kinds.turned_away(
        name="401 (REST)",
        what="The credentials are not accepted.",
        error_class="unauthorized",
        ends_pass=True,
        fault=wire.page("401 Unauthorized"),
        note="REST sends the credentials with every call, so there is nothing to renew.",
        **kinds.NO_OTHER_LOGIN,
    ),
    kinds.turned_away(
        name="403 (SOAP)",
        what="The operation is not granted, after a fresh login either.",
        error_class="forbidden",
        fault=wire.page("403 Forbidden"),
        note="One agent may be refused while others work; Online, the ErpSync agent has to be asked for.",
        **kinds.LOGIN_AGAIN,
    ),
    kinds.turned_away(
        name="403 (REST)",
        what="The operation is not granted.",
        error_class="forbidden",
        fault=wire.page("403 Forbidden"),
        **kinds.NO_OTHER_LOGIN,
    ),
    kinds.turned_away(
        name="404",
        what="There is no such address.",
        error_class="not_found",
        fault=wire.page("404 Not Found"),
        note="The message names the setting to look at.",
    ),
    kinds.turned_away(
        name="407",
        what="A proxy answers that wants to know who we are.",
        error_class="rejected",
        fault=wire.page("407 Proxy Authentication Required"),
        note="See `proxy`. Where `url` is https, it is not that proxy (which answers before) but one in front of the "
        "tenant.",
    ),
    kinds.not_now(
        name="408",
        what="The server says that the request came too slowly.",
        fault=wire.page("408 Request Timeout"),
    ),
    kinds.turned_away(
        name="421",
        what="This host does not serve the tenant any more.",
        error_class="not_found",
        fault=wire.page("421 Misdirected Request"),
        note="Online, installations move: set `url` to the tenant's current host.",
    ),
    kinds.throttled(
        name="429",
        what="Too many calls; no pause is named.",
        fault=wire.page("429 Too Many Requests"),
    ),
    kinds.throttled(
        name="429, a short pause in seconds",
        what="Too many calls; `Retry-After: 1`.",
        fault=wire.with_retry_after("429 Too Many Requests", seconds=1),
        pauses=True,
        note="A pause of up to 30 seconds is kept.",
    ),
    kinds.throttled(
        name="429, a short pause as a date",
        what="Too many calls; `Retry-After` names a moment close by.",
        fault=wire.with_retry_after("429 Too Many Requests", seconds=1, as_date=True),
        pauses=True,
    ),
    kinds.throttled(
        name="429, a long pause in seconds",
        what="Too many calls; `Retry-After: 3600`.",
        read_attempts=1,
        save_attempts=1,
        fault=wire.with_retry_after("429 Too Many Requests", seconds=3600),
        note="For more than 30 seconds no pass waits.",
    ),
    kinds.throttled(
        name="429, a long pause as a date",
        what="Too many calls; `Retry-After` names a moment an hour away.",
        read_attempts=1,
        save_attempts=1,
        fault=wire.with_retry_after("429 Too Many Requests", seconds=3600, as_date=True),
    ),
    kinds.said_no(
        group=STATUSES,
        name="500 with a SOAP fault",
        what="NetServer failed and says how.",
        fault=wire.answering(wire.soap_fault("SoServerException"), "500 Internal Server Error"),
        protocols=("soap",),
    ),
    kinds.said_no(
        group=STATUSES,
        name="500 with an error object",
        what="NetServer failed and says how.",
        fault=wire.answering(wire.refused_with("SoServerException"), "500 Internal Server Error"),
        protocols=("rest",),
    ),
    kinds.not_now(
        name="500 with a page",
        what="The server failed and gives no reason.",
        fault=wire.page("500 Internal Server Error"),
    ),
    kinds.lost(
        group=STATUSES,
        name="502",
        what="A proxy got no usable answer from the server.",
        fault=wire.page("502 Bad Gateway"),
    ),
    kinds.not_now(
        name="503",
        what="The server, or a proxy before it, is not ready.",
        fault=wire.page("503 Service Unavailable"),
    ),
    kinds.not_now(
        name="503, a long pause",
        what="As 503, with `Retry-After: 3600`.",
        read_attempts=1,
        fault=wire.with_retry_after("503 Service Unavailable", seconds=3600),
    ),
    kinds.lost(
        group=STATUSES,
        name="504",
        what="A proxy waited for the server in vain.",
        fault=wire.page("504 Gateway Timeout"),
    ),
)
