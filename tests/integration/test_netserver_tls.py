"""TLS against real sockets: who is trusted, whom we show to be, and that no socket stays behind."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from netserver_sockets import OK_JSON, ONCE, http, rest, serving

from certificates import Authority, private_pem, speak_only
from erpsyncd.domain.tenants import Protocol
from erpsyncd.errors import ConfigurationError, Effect, RemoteUnreachable, TemporaryRemoteError
from erpsyncd.netserver import tls as tls_module
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.tls import tls_context
from netserver_support import credentials, erp_connection, tenant_spec
from tls_door import tls_door


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
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(directory=tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(directory=tmp_path_factory.mktemp("stranger"))


async def test_untrusted_certificate(ours: Authority) -> None:
    """A certificate that cannot be trusted gets nothing to read; the message says what it is about."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of the handshake
    async with serving(http(OK_JSON), ours.server()) as server, rest(server, scheme="https") as api:
        with pytest.raises(RemoteUnreachable, match="certificate"):
            await api.has_connections()

    assert [] == server.requests


async def test_an_authority_of_ones_own(ours: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is trusted instead of whom the system trusts, not beside them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.file))  # which is what this system trusts now
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of the handshake
    async with serving(http(OK_JSON), stranger.server()) as server:
        async with rest(server, scheme="https") as api:
            assert (await api.has_connections()).is_ok
        async with rest(server, scheme="https", ca_file=str(ours.file)) as api:
            with pytest.raises(RemoteUnreachable, match="certificate verify failed"):
                await api.has_connections()
    async with (
        serving(http(OK_JSON), ours.server()) as server,
        rest(server, scheme="https", ca_file=str(ours.file)) as api,
    ):
        assert (await api.has_connections()).is_ok


async def test_a_server_of_the_last_century(ours: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that speaks TLS 1.1 only is there for others; for us it is not, even where the machine allows it."""

    def on_a_careless_machine(ca_file: str | None = None) -> ssl.SSLContext:
        context = tls_context(ca_file)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        return context

    monkeypatch.setattr(tls_module, "tls_context", on_a_careless_machine)
    old = ssl.create_default_context(cafile=ours.file)
    speak_only(old, ssl.TLSVersion.TLSv1_1)
    async with serving(http(OK_JSON)) as server:
        with tls_door(server.port, ours.server(only=ssl.TLSVersion.TLSv1_1)) as door:
            _, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=old)
            spoken = writer.get_extra_info("ssl_object").version()
            writer.close()
            await writer.wait_closed()
            async with rest(server, url=door.url, ca_file=str(ours.file)) as api:
                with pytest.raises(RemoteUnreachable, match=r"check that url speaks TLS 1\.2 or newer") as caught:
                    await api.has_connections()

    assert ("TLSv1.1", Effect.NEVER_SENT, []) == (spoken, caught.value.effect, server.requests)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("in_two_files", [False, True])
async def test_a_client_certificate_that_is_demanded(
    ours: Authority, tmp_path: Path, version: ssl.TLSVersion, *, in_two_files: bool
) -> None:
    """It is shown, whether its key stands in the same file or in one of its own."""
    both = ours.issue("a client")
    settings: dict[str, Any] = {"ca_file": str(ours.file), "client_certificate": str(both)}
    if in_two_files:
        certificate, key = both.read_text().split("-----END CERTIFICATE-----\n")
        (tmp_path / "certificate.pem").write_text(f"{certificate}-----END CERTIFICATE-----\n")
        (tmp_path / "key.pem").write_text(key)
        settings |= {
            "client_certificate": str(tmp_path / "certificate.pem"),
            "client_key": str(tmp_path / "key.pem"),
        }
    async with (
        serving(http(OK_JSON), ours.server(only=version, demands=ours)) as server,
        rest(server, scheme="https", **settings) as api,
    ):
        assert (await api.has_connections()).is_ok


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_message_about_a_client_certificate(ours: Authority, version: ssl.TLSVersion) -> None:
    """Whoever has none is told which setting is missing, in whatever version of TLS it comes out."""
    async with serving(http(OK_JSON)) as server:
        with tls_door(server.port, ours.server(only=version, demands=ours)) as door:
            async with rest(server, url=door.url, ca_file=str(ours.file)) as api:
                with pytest.raises(TemporaryRemoteError, match="check url and client_certificate"):
                    await api.has_connections()

    assert [] == server.requests


async def test_renewed_files_are_read_by_the_next_pass(ours: Authority, stranger: Authority, tmp_path: Path) -> None:
    """Neither another authority nor another client certificate needs a restart."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of the handshake
    apis = NetServerApis(ONCE)
    trusted, shown = tmp_path / "ca.pem", tmp_path / "client.pem"
    settings: dict[str, Any] = {"ca_file": str(trusted), "client_certificate": str(shown)}
    answered = []
    async with serving(http(OK_JSON), ours.server(demands=ours)) as server:
        for authority, signer in ((stranger, ours), (ours, stranger), (ours, ours)):
            shutil.copy(authority.file, trusted)
            signer.issue("a client", path=shown)
            async with rest(server, scheme="https", apis=apis, **settings) as api:
                with suppress(TemporaryRemoteError):
                    answered.append((await api.has_connections()).is_ok)
            assert len(server.requests) == len(answered)

    assert [True] == answered


@dataclass(frozen=True)
class Files:
    """One PEM file of each kind."""

    certificate: Path
    key: Path
    encrypted: Path
    other_key: Path
    both: Path
    nonsense: Path
    damaged: Path
    revoked: Path
    missing: Path
    directory: Path
    huge: Path


@pytest.fixture
def files(ours: Authority, tmp_path: Path) -> Files:
    both = ours.issue("a client").read_text()
    certificate, key = both.split("-----END CERTIFICATE-----\n")
    start = key.splitlines()[1]
    texts = {
        "certificate": f"{certificate}-----END CERTIFICATE-----\n",
        "key": key,
        "encrypted": private_pem(ec.generate_private_key(ec.SECP256R1()), b"placeholder").decode(),
        "other_key": private_pem(ec.generate_private_key(ec.SECP256R1())).decode(),
        "both": both,
        "nonsense": "hello",
        "damaged": both.replace(start, "!" + start[1:]).replace("MII", "!!!"),
        "revoked": ours.revocations(),
        "huge": certificate * 2000,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    named = {name: tmp_path / name for name in texts}
    return Files(missing=tmp_path / "missing", directory=tmp_path, **named)


@pytest.mark.parametrize(
    ("key", "given", "problem"),
    [
        ("ca_file", {"ca_file": "missing"}, "cannot be read: no such file or directory"),
        ("ca_file", {"ca_file": "directory"}, "cannot be read: it is not a regular file"),
        ("ca_file", {"ca_file": "huge"}, "cannot be read: it is larger than 1024 KiB"),
        ("ca_file", {"ca_file": "nonsense"}, "holds no certificates in PEM that can be read"),
        ("ca_file", {"ca_file": "key"}, "holds no certificates in PEM that can be read"),
        ("ca_file", {"ca_file": "damaged"}, "holds no certificates in PEM that can be read"),
        ("ca_file", {"ca_file": "revoked"}, "holds no certificates, only revocation lists"),
        ("client_certificate", {"client_certificate": "missing"}, "cannot be read: no such file or directory"),
        ("client_certificate", {"client_certificate": "nonsense"}, "holds no certificate in PEM that can be read"),
        ("client_certificate", {"client_certificate": "certificate"}, "holds no private key in PEM that can be read"),
        ("client_key", {"client_key": "missing"}, "cannot be read: no such file or directory"),
        ("client_key", {"client_key": "nonsense"}, "holds no private key in PEM that can be read"),
        ("client_key", {"client_key": "damaged"}, "holds no private key in PEM that can be read"),
        (
            "client_key",
            {"client_key": "encrypted"},
            "holds an encrypted key, and nobody is there to type a passphrase; decrypt it, mode 600",
        ),
        ("client_key", {"client_key": "other_key"}, "holds a key that does not belong to the certificate in "),
    ],
)
async def test_files_that_cannot_be_used(files: Files, key: str, given: dict[str, str], problem: str) -> None:
    """The tenant, the setting and the file are named, and nobody is asked for a passphrase."""
    settings: dict[str, Any] = {name: str(getattr(files, file)) for name, file in given.items()}
    if key == "client_key":
        settings["client_certificate"] = str(files.certificate)
    spec = tenant_spec(Protocol.REST, **settings)

    with pytest.raises(ConfigurationError) as caught:
        async with NetServerApis(ONCE).open(spec, credentials()):
            """It cannot even be opened."""

    assert str(caught.value).startswith(f"tenant acme: {key} {settings[key]} {problem}")


async def test_one_context_for_all_without_files(monkeypatch: pytest.MonkeyPatch, ours: Authority) -> None:
    """Reading the system's certificates takes a while; who names an authority does not share them."""
    made: list[str | None] = []

    def counting(ca_file: str | None = None) -> ssl.SSLContext:
        made.append(ca_file)
        return tls_context(ca_file)

    monkeypatch.setattr(tls_module, "tls_context", counting)
    apis = NetServerApis(ONCE)
    for tenant in (tenant_spec(), tenant_spec(name="other"), tenant_spec(ca_file=str(ours.file))):
        async with apis.open(tenant, credentials()):
            assert apis._tls.tenant is apis._tls.proxy

    assert [None, str(ours.file)] == made


async def test_no_context_before_somebody_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that calls nobody does not wait for the system's certificates."""
    monkeypatch.setattr(tls_module, "tls_context", lambda: pytest.fail("nobody has connected yet"))

    NetServerApis(ONCE)


async def test_the_systems_certificates_are_read_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch, ours: Authority
) -> None:
    """Everybody would wait for it; who else connects meanwhile waits for the same ones."""
    made: list[threading.Thread] = []

    def noting(_ca_file: str | None = None) -> ssl.SSLContext:
        made.append(threading.current_thread())
        return tls_context(str(ours.file))

    monkeypatch.setattr(tls_module, "tls_context", noting)
    apis = NetServerApis(ONCE)
    async with (
        serving(http(OK_JSON), ours.server()) as server,
        rest(server, scheme="https", apis=apis) as api,
        rest(server, scheme="https", apis=apis) as other,
    ):
        assert all(each.is_ok for each in await asyncio.gather(api.has_connections(), other.has_connections()))

    assert 1 == len(made)
    assert threading.current_thread() is not made[0]


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
