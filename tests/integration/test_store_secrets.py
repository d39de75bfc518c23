"""Secrets at rest: which key, bound to which place, and never in clear."""

from __future__ import annotations

import base64
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from store_support import Pass, begin_pass, execute, outcome, query

from erpsyncd.domain.results import ChangeKind, Status
from erpsyncd.domain.secrets import Damaged, Reference, Scheme, Secret, Template, parse_template
from erpsyncd.errors import ConfigurationError, StoreError
from erpsyncd.store import SqlStore, open_store, tables
from erpsyncd.store.keys import KEY_FILE, KeyRing, create_key_file, make_key, read_key_ring
from erpsyncd.store.sealing import Place, Sealer
from factories import make_connection, make_document, make_tenant

CANARY = "canary-that-must-not-be-seen"


def key_line(byte: int) -> bytes:
    return base64.b64encode(bytes([byte]) * 32) + b"\n"


def write_key(path: Path, *lines: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(b"".join(lines))
    path.chmod(mode)
    return path


def loaded(url: str, directory: Path, key_path: Path | None = None) -> SqlStore:
    store = open_store(url, key_path=key_path, state_directory=directory)
    store.apply_document(make_document(make_tenant(), make_connection()))
    return store


def test_a_key_file_is_made_with_an_empty_store(store: SqlStore, tmp_path: Path) -> None:
    """It holds one key of 32 bytes, for its owner only; nothing else is left in the directory."""
    store.unlock()

    path = tmp_path / KEY_FILE
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 32 == len(base64.b64decode(path.read_bytes().removesuffix(b"\n"), validate=True))
    assert [] == list(tmp_path.glob(".*"))
    assert [read_key_ring(path).current.id] == [
        found["key_id"] for found in query(store, "SELECT * FROM store_metadata")
    ]


def test_listing_needs_no_key(upgraded_url: str, tmp_path: Path) -> None:
    """Who may only look need not be able to read the key."""
    with loaded(upgraded_url, tmp_path):
        pass
    (tmp_path / KEY_FILE).unlink()

    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        assert ["visma"] == [found.key for found in store.list_connections()]
        assert ["acme"] == [found.name for found in store.list_tenants()]
        assert () == store.list_runs()


def test_a_key_that_is_there_is_taken_for_an_empty_store(upgraded_url: str, tmp_path: Path) -> None:
    """An operator may bring a key; so may a process that died between making the key and the store."""
    key = write_key(tmp_path / "brought.key", key_line(1))

    with loaded(upgraded_url, tmp_path, key) as store:
        assert [make_key(b"\x01" * 32).id] == [
            found["key_id"] for found in query(store, "SELECT * FROM store_metadata")
        ]
    assert not (tmp_path / KEY_FILE).exists()


def test_a_named_key_file_is_never_made(upgraded_url: str, tmp_path: Path) -> None:
    """A credential that is not there is a mistake in the configuration."""
    with (
        open_store(upgraded_url, key_path=tmp_path / "no.key", state_directory=tmp_path) as store,
        pytest.raises(ConfigurationError, match=r"no key file .*no\.key; put one there"),
    ):
        store.unlock()


def test_a_missing_key_is_never_replaced(upgraded_url: str, tmp_path: Path) -> None:
    """A second key in one store would make its first half unreadable."""
    with loaded(upgraded_url, tmp_path):
        pass
    (tmp_path / KEY_FILE).unlink()

    with (
        open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store,
        pytest.raises(ConfigurationError, match="no key file"),
    ):
        store.unlock()
    assert not (tmp_path / KEY_FILE).exists()


async def test_another_stores_key_is_refused(upgraded_url: str, tmp_path: Path) -> None:
    """The store knows the key that it was made with."""
    with loaded(upgraded_url, tmp_path):
        pass
    write_key(tmp_path / KEY_FILE, key_line(9))

    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        with pytest.raises(ConfigurationError, match=r"encrypted under key .* put the right key there"):
            _ = store.fingerprinter
        with pytest.raises(ConfigurationError, match="encrypted under key"):
            await store.tenants()
        with pytest.raises(ConfigurationError, match="encrypted under key"):
            store.apply_document(make_document(make_tenant("other")))


def test_a_key_ring_opens_what_older_keys_sealed(upgraded_url: str, tmp_path: Path) -> None:
    """A new first line seals from now on; fingerprints do not change with it."""
    key = write_key(tmp_path / "ring.key", key_line(1))
    with loaded(upgraded_url, tmp_path, key) as store:
        before = store.fingerprinter.of_text("test", "text")
    write_key(key, key_line(2), key_line(1))

    with open_store(upgraded_url, key_path=key, state_directory=tmp_path) as store:
        store.apply_document(make_document(make_tenant("other")))
        fields = [next(iter(found["auth_fields"].values())) for found in sealed_tenants(store)]

        assert before == store.fingerprinter.of_text("test", "text")
        assert [make_key(bytes([byte]) * 32).id for byte in (1, 2)] == [
            field["sealed"].split(":")[1] for field in fields
        ]
        assert (
            make_document(make_tenant(), make_tenant("other")).tenants[0].spec == store.read_document().tenants[0].spec
        )


def sealed_tenants(store: SqlStore) -> list[Any]:
    with store._database.read() as connection:
        return list(connection.execute(tables.tenants.select().order_by(tables.tenants.c.id)).mappings())


async def test_a_key_that_is_not_in_the_ring_any_more_is_named(upgraded_url: str, tmp_path: Path) -> None:
    """What was sealed under a key that left the file says which one to bring back; other tenants go on."""
    key = write_key(tmp_path / "ring.key", key_line(1))
    with loaded(upgraded_url, tmp_path, key):
        pass
    write_key(key, key_line(2), key_line(1))
    with open_store(upgraded_url, key_path=key, state_directory=tmp_path) as store:
        store.apply_document(make_document(make_tenant("other")))
    write_key(key, key_line(1))

    with open_store(upgraded_url, key_path=key, state_directory=tmp_path) as store:
        acme, other = await store.tenants()
        assert not is_damaged(acme.spec.auth.fields["username"])
        with pytest.raises(KeyError, match=f"auth/other/username.*{make_key(bytes([2]) * 32).id}"):
            other.spec.auth.fields["username"].resolve({})

        store.apply_document(make_document(make_tenant("other")))

        assert not any(is_damaged(tenant.spec.auth.fields["username"]) for tenant in await store.tenants())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """The message is the command that mends it."""
    path = write_key(tmp_path / "open.key", key_line(1), mode=mode)

    with pytest.raises(ConfigurationError, match=f"chmod 600 {path}"):
        read_key_ring(path)


def test_a_credential_of_systemd_may_show_group_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the mask of an access control list; the directory is closed to others."""
    path = write_key(tmp_path / "erpsyncd.key", key_line(1), mode=0o440)
    monkeypatch.setattr(Path, "resolve", lambda self: Path("/run/credentials/erpsyncd.service") / self.name)

    assert make_key(b"\x01" * 32).id == read_key_ring(path).current.id


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\n", "line 1: not a key"),
        (key_line(1) + b"\n", "line 2: not a key"),
        (key_line(1) + CANARY.encode(), "line 2: not a key"),
        (base64.b64encode(b"too short"), "line 1: not a key"),
        (b" " + key_line(1), "line 1: not a key"),
        (b"\xff\xfe", "line 1: not a key"),
    ],
)
def test_a_malformed_key_file_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    """The line is named and never repeated."""
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        read_key_ring(write_key(tmp_path / "bad.key", content))

    assert CANARY not in str(caught.value)


def test_an_unreadable_key_file_is_refused(tmp_path: Path) -> None:
    """The reason is the system's."""
    with pytest.raises(ConfigurationError, match=r"none\.key cannot be read: No such file"):
        read_key_ring(tmp_path / "none.key")
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        create_key_file(tmp_path / "nowhere" / KEY_FILE)


def test_of_two_processes_that_make_a_key_one_wins(tmp_path: Path) -> None:
    """The other one takes what is there."""
    first = create_key_file(tmp_path / KEY_FILE)

    assert first == create_key_file(tmp_path / KEY_FILE)


def test_of_two_nodes_that_found_a_store_one_wins(upgraded_url: str, tmp_path: Path) -> None:
    """Threads of one process and processes of one machine agree on one fingerprint key."""
    taken = []
    stores = [open_store(upgraded_url, key_path=None, state_directory=tmp_path) for _ in range(4)]
    threads = [threading.Thread(target=lambda s=s: taken.append(s.fingerprinter.of_text("a", "b"))) for s in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()

    assert (4, 1) == (len(taken), len(set(taken)))


def test_the_loser_of_a_founding_takes_the_winners_key(upgraded_url: str, tmp_path: Path) -> None:
    """Even when the winner wrote between the loser's look and its own write."""
    with loaded(upgraded_url, tmp_path) as winner:
        (written,) = query(winner, "SELECT key_id, fingerprint_key FROM store_metadata")

        found = winner._vault._found_store()

    assert (written["key_id"], written["fingerprint_key"]) == (found.key_id, found.fingerprint_key)


async def test_a_sealed_value_opens_only_where_it_stands(store: SqlStore) -> None:
    """Moved to another field, key or tenant it does not."""
    entries = [make_connection(key, config_fields={"A": "one", "B": "two"}) for key in ("here", "there")]
    store.apply_document(make_document(make_tenant(), make_tenant("other"), *entries))
    one = await begin_pass(store)
    with store._database.write() as connection:
        (here, there) = connection.execute(tables.connections.select().order_by(tables.connections.c.key)).all()
        connection.execute(
            tables.connections.update()
            .where(tables.connections.c.id == there.id)
            .values(config_fields=here.config_fields)
        )

    assert ["config_fields/acme/there/A", "config_fields/acme/there/B"] == await damaged(one, "there")
    assert [] == await damaged(one, "here")

    swapped = {"A": here.config_fields["B"], "B": here.config_fields["A"]}
    with store._database.write() as connection:
        connection.execute(tables.connections.delete().where(tables.connections.c.id == there.id))
        connection.execute(tables.connections.update().values(config_fields=swapped))
    assert ["config_fields/acme/here/A", "config_fields/acme/here/B"] == await damaged(one, "here")

    execute(store, "UPDATE tenants SET auth_fields = (SELECT t.auth_fields FROM tenants t WHERE t.name = 'acme')")
    acme, other = await store.tenants()
    assert [False, True] == [is_damaged(tenant.spec.auth.fields["username"]) for tenant in (acme, other)]

    # Importing the same again mends it.
    store.apply_document(make_document(make_tenant("other"), *entries))
    _, other = await store.tenants()
    assert not is_damaged(other.spec.auth.fields["username"])
    assert [] == await damaged(one, "here")


async def test_a_proxy_opens_only_for_its_tenant(store: SqlStore) -> None:
    """Moved to another tenant it fails that one alone; importing it again mends it."""
    proxy = parse_template(f"http://user:{CANARY}@proxy.example:3128")
    store.apply_document(make_document(make_tenant(proxy=proxy), make_tenant("other", proxy=proxy)))

    execute(store, "UPDATE tenants SET proxy = (SELECT t.proxy FROM tenants t WHERE t.name = 'acme')")
    acme, other = await store.tenants()

    assert proxy == acme.spec.proxy
    assert other.spec.proxy is not None
    assert is_damaged(other.spec.proxy)

    store.apply_document(make_document(make_tenant("other", proxy=proxy)))
    assert [proxy, proxy] == [tenant.spec.proxy for tenant in await store.tenants()]


def is_damaged(template: Template) -> bool:
    return any(isinstance(part, Damaged) for part in template.parts)


async def damaged(one: Pass, key: str) -> list[str]:
    """Return which config fields of a connection do not open, as their reasons name them."""
    (found,) = [connection for connection in await one.due() if connection.key == key]
    reasons = []
    for template in found.template.config_fields.values():
        if is_damaged(template):
            with pytest.raises(KeyError, match="does not open") as caught:
                template.resolve({})
            with pytest.raises(ValueError, match="does not open"):
                template.source()
            reasons.append(str(caught.value.args[0]).partition(" ")[0])
    return reasons


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda sealed: sealed[:-4] + "AAAA", "does not open"),
        (lambda sealed: sealed.rpartition(":")[0] + ":", "does not open"),
        (lambda sealed: sealed.rpartition(":")[0] + ":not base64", "does not open"),
        (lambda sealed: sealed.replace("v1:", "v2:"), "cannot read"),
        (lambda _: "", "cannot read"),
    ],
)
def test_a_damaged_value_is_reported_with_its_place(damage: Any, error: str) -> None:
    """Nothing of what it held is said."""
    sealer = Sealer(KeyRing(current=make_key(b"k" * 32)))
    place = Place(("auth", "acme", "password"))

    with pytest.raises(StoreError, match=f"auth/acme/password.*{error}"):
        sealer.open(damage(sealer.seal(CANARY.encode(), place)), place)


@pytest.mark.parametrize("source", ["", "@{env:A}", "@{env:A}@{file:/b}", "plain", "a@{env:A}b", "@@{env:A}", "é☃\n"])
def test_templates_survive_the_store(source: str) -> None:
    """Only what has literal text is sealed; everything comes back as it was."""
    sealer = Sealer(KeyRing(current=make_key(b"k" * 32)))
    place = Place(("test",))
    template = parse_template(source)

    stored = sealer.store_template(template, place)

    assert template == sealer.read_template(stored, place)
    assert ({"sealed"} if template.holds_secret_text else {"reference"}) == set(stored)
    assert sealer.store_template(parse_template("x"), place) != sealer.store_template(parse_template("x"), place)


def files_with(text: bytes, directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if text in path.read_bytes()]


async def test_no_secret_is_in_the_store_in_clear(store: SqlStore, tmp_path: Path) -> None:
    """Neither in a row nor anywhere in the files, the log of SQLite included."""
    store.apply_document(
        make_document(
            make_tenant(
                auth={"username": "sync", "password": CANARY},
                proxy=parse_template(f"http://user:{CANARY}@proxy.example:3128"),
            ),
            make_connection(config_fields={"Password": CANARY, "Mixed": f"@{{env:A}}{CANARY}"}),
        )
    )
    one = await begin_pass(store)
    (due,) = await one.due()
    intent = await one.open(due, ChangeKind.CREATE, frozenset({1}))
    spec = due.template.resolve({Reference(Scheme.ENV, "A"): Secret(CANARY)})
    fingerprints = store.fingerprinter.of_spec(spec)
    await one.settle(due, applied=fingerprints, intent_id=intent, outcome=outcome(status=Status.CREATED))

    with store._database.read() as connection:
        for table in tables.metadata.sorted_tables:
            assert CANARY not in repr(connection.execute(table.select()).all())
    assert not files_with(CANARY.encode(), tmp_path)
    assert due.template.config_fields["Password"] == parse_template(CANARY)
