"""Which key belongs to this store: found, compared and, for an empty store only, made."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from erpsyncd.domain.fingerprints import Fingerprinter
from erpsyncd.errors import ConfigurationError
from erpsyncd.files import is_missing
from erpsyncd.store.keys import KEY_FILE, KeyRing, create_key_file, read_key_ring
from erpsyncd.store.schema import emptied
from erpsyncd.store.sealing import FINGERPRINT_KEY, Sealer
from erpsyncd.store.tables import store_metadata

if TYPE_CHECKING:
    from erpsyncd.store.database import Database

_FINGERPRINT_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """What can be done with the key at hand."""

    sealer: Sealer
    fingerprinter: Fingerprinter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metadata:
    key_id: str
    fingerprint_key: str


class Vault:
    """Unlocks the store at the first need, once. Listing runs needs no key."""

    def __init__(self, database: Database, *, key_path: Path | None, state_directory: Path) -> None:
        self._database = database
        self._path = key_path or state_directory / KEY_FILE
        # A key in a place that an operator chose, such as a systemd credential, is the operator's to make.
        self._may_create = key_path is None
        self._unlocked: Unlocked | None = None
        self._lock = threading.Lock()

    @property
    def unlocked(self) -> Unlocked | None:
        """What the key opens, if it was read already: nobody has to wait for that."""
        return self._unlocked

    def unlock(self) -> Unlocked:
        """Return what the key opens.

        Raises:
            ConfigurationError: the key is missing, unreadable, open to others, or another store's.
        """
        with self._lock:
            if self._unlocked is None:
                self._unlocked = self._unlock()
            return self._unlocked

    def unlock_again(self) -> Unlocked:
        """Read the key anew, for another database at the store's place.

        Raises:
            ConfigurationError: as `unlock`.
            StoreError: nobody has worked with this database yet.
        """
        with self._lock:
            self._unlocked = None
            with self._database.read() as connection:
                if _read_metadata(connection) is None:
                    raise emptied(self._database.place)
            self._unlocked = self._unlock()
            return self._unlocked

    def _unlock(self) -> Unlocked:
        with self._database.read() as connection:
            known = _read_metadata(connection)
        if known is None:
            known = self._found_store()
        keys = self._read(known)
        sealer = Sealer(keys)
        return Unlocked(sealer=sealer, fingerprinter=Fingerprinter(sealer.open(known.fingerprint_key, FINGERPRINT_KEY)))

    def _read(self, known: _Metadata) -> KeyRing:
        if is_missing(self._path):
            raise ConfigurationError(
                f"the store {self._database.place} is encrypted under key {known.key_id}, but there is no key file "
                f"{self._path}; put that key there (mode 600), or point at it"
            )
        keys = read_key_ring(self._path)
        if keys.get(known.key_id) is None:
            raise ConfigurationError(
                f"the store {self._database.place} is encrypted under key {known.key_id}, but the key file "
                f"{self._path} has key {keys.current.id}; put the right key there, one key per line"
            )
        return keys

    def _found_store(self) -> _Metadata:
        """Give an empty store its key. Where another process is quicker, take what it wrote."""
        if is_missing(self._path) and not self._may_create:
            raise ConfigurationError(
                f"there is no key file {self._path}; put one there, made for example by: "
                "(umask 077; head -c 32 /dev/urandom | base64 > erpsyncd.key)"
            )
        keys = create_key_file(self._path) if is_missing(self._path) else read_key_ring(self._path)
        fingerprint_key = Sealer(keys).seal(secrets.token_bytes(_FINGERPRINT_KEY_BYTES), FINGERPRINT_KEY)
        founded = _Metadata(key_id=keys.current.id, fingerprint_key=fingerprint_key)
        with self._database.write() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(store_metadata), _row(founded))
            except IntegrityError:
                found = _read_metadata(connection)
                assert found is not None, "the row that is in the way is there"
                return found
        return founded


def has_key(connection: Connection) -> bool:
    """Whether the store was given a key, which happens with the first thing that is put into it."""
    return _read_metadata(connection) is not None


def _row(metadata: _Metadata) -> dict[str, object]:
    return {
        "id": 1,
        "key_id": metadata.key_id,
        "fingerprint_key": metadata.fingerprint_key,
        "created_at": datetime.now(UTC),
    }


def _read_metadata(connection: Connection) -> _Metadata | None:
    row = connection.execute(select(store_metadata.c.key_id, store_metadata.c.fingerprint_key)).one_or_none()
    return None if row is None else _Metadata(key_id=row.key_id, fingerprint_key=row.fingerprint_key)
