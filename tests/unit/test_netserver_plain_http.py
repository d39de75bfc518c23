"""What is plain HTTP: it means to h11 exactly what it means to us, and everything else is left to h11."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.netserver.plain_http import Headers, plain_head, plain_request

HOST = (b"Host", b"tenant.example")
LENGTH = (b"Content-Length", b"4")


def written_by_h11(method: bytes, headers: Headers, body: bytes) -> bytes | None:
    """Return the bytes that h11 writes for a request."""
    state = h11.Connection(h11.CLIENT)
    parts = [state.send(h11.Request(method=method, target=b"/a?b=c", headers=list(headers)))]
    if body:
        parts.append(state.send(h11.Data(data=body)))
    parts.append(state.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part)


def read_by_h11(arrived: bytes) -> tuple[h11.Response, bytes]:
    """Return the head that h11 reads, and what has come of the body. Raises `h11.RemoteProtocolError`."""
    state = h11.Connection(h11.CLIENT)
    state.send(h11.Request(method=b"GET", target=b"/", headers=[HOST]))
    state.send(h11.EndOfMessage())
    state.receive_data(arrived)
    response, body = state.next_event(), state.next_event()
    assert isinstance(response, h11.Response)
    return response, bytes(body.data) if isinstance(body, h11.Data) else b""


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        (b"POST", [HOST, (b"SOAPAction", b'"urn:a/b"'), (b"User-Agent", b"erpsyncd/1"), LENGTH], b"body"),
        (b"POST", [HOST, (b"X-Custom", b"one two"), (b"Content-Length", b"0")], b""),
        (b"GET", [HOST, (b"Accept", b"*/*")], b""),
        (b"GET", [HOST], b""),
    ],
)
def test_a_plain_request_is_what_h11_would_write(method: bytes, headers: Headers, body: bytes) -> None:
    """Byte for byte."""
    assert written_by_h11(method, headers, body) == plain_request(method, b"/a?b=c", headers, body)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([LENGTH], id="no host"),
        pytest.param([HOST, HOST, LENGTH], id="two hosts"),
        pytest.param([(b"Accept", b"*/*"), HOST, LENGTH], id="host is not the first"),
        pytest.param([HOST], id="no length"),
        pytest.param([HOST, (b"Content-Length", b"5")], id="another length"),
        pytest.param([HOST, LENGTH, LENGTH], id="two lengths"),
        pytest.param([HOST, (b"transfer-encoding", b"chunked"), LENGTH], id="chunked"),
        pytest.param([HOST, (b"CONNECTION", b"close"), LENGTH], id="close"),
        pytest.param([HOST, (b"Upgrade", b"h2c"), LENGTH], id="upgrade"),
        pytest.param([HOST, (b"Expect", b"100-continue"), LENGTH], id="expect"),
        pytest.param([HOST, (b"X", b"a\r\nY: b"), LENGTH], id="a line break in a value"),
        pytest.param([HOST, (b"X", b"a\rb"), LENGTH], id="half a line break in a value"),
        pytest.param([HOST, (b"X", b"a\0b"), LENGTH], id="a control character in a value"),
        pytest.param([HOST, (b"X\r\nY", b"b"), LENGTH], id="a line break in a name"),
        pytest.param([HOST, (b"X Y", b"b"), LENGTH], id="a blank in a name"),
        pytest.param([HOST, (b"X", b" b"), LENGTH], id="a blank before a value"),
        pytest.param([HOST, (b"X", b""), LENGTH], id="no value"),
        pytest.param([HOST, (b"X", b"\xe6"), LENGTH], id="no ASCII"),
    ],
)
def test_any_other_request_is_left_to_h11(headers: Headers) -> None:
    """Which writes it, or refuses it."""
    assert plain_request(b"POST", b"/", headers, b"body") is None


@pytest.mark.parametrize(
    ("method", "target"), [(b"CONNECT", b"a:443"), (b"HEAD", b"/"), (b"get", b"/"), (b"POST", b"/a b"), (b"POST", b"")]
)
def test_any_other_line_of_request_is_left_to_h11(method: bytes, target: bytes) -> None:
    """Its answers may have another end, or it is not valid."""
    assert plain_request(method, target, [HOST, LENGTH], b"body") is None


@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"500 ", b"302 Found"])
@pytest.mark.parametrize(
    "more", [b"", b"Date: now\r\nConnection: Keep-Alive\r\n", b"Set-Cookie: a\r\nSet-Cookie: b\r\n"]
)
def test_a_plain_head_is_what_h11_would_read(status: bytes, more: bytes) -> None:
    """Its status, its headers as they were spelled, and where the body begins and ends."""
    arrived = b"HTTP/1.1 %b\r\n%bContent-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\n" % (status, more)
    response, body = read_by_h11(arrived)

    head = plain_head(arrived)

    assert head is not None
    assert (response.status_code, response.headers.raw_items()) == (head.status, list(head.headers))
    assert body == arrived[head.size : head.size + head.length]


@pytest.mark.parametrize(
    "arrived",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDate: now\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 4\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\ncontent-length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4444444444444444444\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n X: folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: \xe6\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
    ],
)
def test_any_other_head_is_left_to_h11(arrived: bytes) -> None:
    """Which reads it, waits for more of it, or refuses it."""
    assert plain_head(arrived) is None


#: What heads are made of, the odd pieces among them.
PIECES = (
    *(
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 500 ",
        b"HTTP/1.1 204 No Content",
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
    ),
    *(
        b"Content-Length: 4",
        b"content-length: 0",
        b"Content-Length: 04",
        b"Date: now",
        b"X: a b",
        b"X:b",
        b"X: ",
        b"\xe6",
    ),
    *(b"Connection: keep-alive", b"Connection: close", b"Transfer-Encoding: chunked", b"body", b":", b",", b"\0"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=9), st.booleans())
def test_whatever_is_taken_means_the_same_to_h11(pieces: list[bytes], as_lines: bool) -> None:  # noqa: FBT001 -- hypothesis
    """There is no head that we read and h11 refuses, or reads otherwise."""
    middle = b"".join(b"%b\r\n" % piece for piece in pieces) if as_lines else b"".join(pieces)
    arrived = b"HTTP/1.1 200 OK\r\n" + middle + b"Content-Length: 4\r\n\r\nbodymore"
    for candidate in (arrived, middle + b"\r\n\r\nbody"):
        if (head := plain_head(candidate)) is not None:
            response, body = read_by_h11(candidate)
            assert (response.status_code, response.headers.raw_items()) == (head.status, list(head.headers))
            assert body == candidate[head.size : head.size + head.length]
