"""TLS against real sockets: who is not trusted gets nothing to read, and no socket stays behind."""

from __future__ import annotations

import asyncio
import gc
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from netserver_sockets import OK_JSON, ONCE, http, rest, serving

from erpsyncd.domain.tenants import Protocol
from erpsyncd.errors import Effect, RemoteUnreachable
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from netserver_support import credentials, erp_connection, tenant_spec


@pytest.mark.parametrize(
    "limits", [RemoteLimits(attempts=1, deadline_seconds=0.15), RemoteLimits(attempts=1, connect_seconds=0.15)]
)
async def test_handshake_that_never_ends_was_never_sent(limits: RemoteLimits) -> None:
    """Neither the deadline nor the connect timeout leaves doubt, or a socket, behind while TLS is negotiated."""
    release = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    tenant = tenant_spec(Protocol.REST, url=f"https://127.0.0.1:{port}")
    async with NetServerApis(limits).open(tenant, credentials()) as api:
        with pytest.raises(RemoteUnreachable) as caught:
            await api.save_connection(erp_connection())
    gc.collect()  # an open socket would be reported here, and fail the test
    release.set()
    listener.close()
    await listener.wait_closed()

    assert Effect.NEVER_SENT is caught.value.effect


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A certificate that nobody trusts, made for this run."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    both = tmp_path_factory.mktemp("tls") / "both.pem"
    both.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + made.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


async def test_untrusted_certificate(certificate: ssl.SSLContext) -> None:
    """A certificate that cannot be trusted gets nothing to read; the message says what it is about."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of the handshake
    async with serving(http(OK_JSON), certificate) as server, rest(server, scheme="https") as api:
        with pytest.raises(RemoteUnreachable, match="certificate"):
            await api.has_connections()

    assert [] == server.requests


async def test_plain_server_at_an_https_address() -> None:
    """A server that does not speak TLS is unreachable over https."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.acme.example ready\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with NetServerApis(ONCE).open(tenant_spec(url=f"https://127.0.0.1:{port}"), credentials()) as api:
        with pytest.raises(RemoteUnreachable):
            await api.has_connections()
    listener.close()
    await listener.wait_closed()
