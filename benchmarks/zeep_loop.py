"""What somebody would write without erpsyncd: zeep with the official WSDL, requests, and SQLAlchemy.

Everything is as good for it as it can be: the WSDL is read once, each tenant keeps its connection open, the values lie
in clear in a database with a write-ahead log, and no look-up comes before a create.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import requests
import zeep
from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, create_engine, insert, select, text, update

_zeep: Any = zeep  # which is annotated in parts

NAMESPACE = "http://www.superoffice.net/ws/crm/NetServer/Services86"
TICKET = "7T:a ticket that does not end"

_metadata = MetaData()
_connections = Table(
    "connections",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant", Text, index=True),
    Column("display_name", Text),
    Column("client", Text),
    Column("password", Text),
    Column("state", Text),
    Column("erp_connection_id", Integer),
    Column("connection_id", Text),
)


def wsdl_path() -> Path:
    """Return where the official WSDL is, which belongs to SuperOffice and is no part of this project.

    Raises:
        FileNotFoundError: it is not in the directory that ERPSYNCD_CONTRACTS names, nor beside the repository.
    """
    place = os.environ.get("ERPSYNCD_CONTRACTS") or Path(__file__).parents[2] / "shared" / "contracts"
    path = Path(place) / "Services86-ErpSync.wsdl"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: name the directory of the official WSDL in ERPSYNCD_CONTRACTS")
    return path


@cache
def _wsdl() -> Any:
    """Return what zeep makes of the WSDL, which takes it some seconds."""
    return _zeep.Client(str(wsdl_path())).wsdl


class Tenant:
    """One tenant as zeep sees it, with a connection of its own."""

    def __init__(self, url: str) -> None:
        self.client: Any = _zeep.Client(_wsdl(), transport=_zeep.Transport(session=requests.Session()))
        self.service = self.client.create_service(
            f"{{{NAMESPACE}}}BasicHttpBinding_ErpSync", f"{url}/Remote/Services86/ErpSync.svc"
        )
        self.entity = self.client.get_type(f"{{{NAMESPACE}}}ErpConnection")
        self.headers = {"Credentials": {"Ticket": TICKET}}

    def connection(self, *, display_name: str, client: str, password: str) -> Any:
        """Return a new connection: the fields that the figures push."""
        return self.entity(
            ErpConnectionId=0,
            ErpConnectorId=1,
            ConnectionId="",
            DisplayName=display_name,
            DisplayDescription="",
            Active=True,
            ConfigFields={
                "StringKeyValuePair": [{"Key": "Client", "Value": client}, {"Key": "Password", "Value": password}]
            },
            MostRecentTimestamp="",
            AllAccess=False,
            UserGroupAccessIds={"int": [1, 3]},
            AssociateAccessIds={"int": []},
            Deleted=False,
        )

    def save(self, connection: Any) -> Any:
        """Push it; return what the tenant says that it is now."""
        return self.service.SaveConnection(connection, _soapheaders=self.headers).body.Response

    def close(self) -> None:
        """Close its connection."""
        self.client.transport.session.close()


class ZeepLoop:
    """Tenant by tenant, row by row."""

    def __init__(self, url: str, *, tenants: int, each: int) -> None:
        self._url = url
        self._names = [f"tenant-{number}" for number in range(tenants)]
        self._each = each

    @contextmanager
    def database(self) -> Iterator[Engine]:
        """Yield a database in which every connection is pending."""
        with tempfile.TemporaryDirectory() as directory:
            engine = create_engine(f"sqlite:///{directory}/loop.db")
            rows = [
                {
                    "tenant": name,
                    "display_name": f"Connection {number}",
                    "client": f"F{number:05d}",
                    "password": f"password {number}",
                    "state": "pending",
                }
                for name in self._names
                for number in range(self._each)
            ]
            with engine.begin() as connection:
                connection.execute(text("PRAGMA journal_mode = WAL"))  # SQLite's default is synchronous = FULL
            with engine.begin() as connection:
                _metadata.create_all(connection)
                connection.execute(insert(_connections), rows)
            yield engine
            engine.dispose()

    def push(self, engine: Engine) -> None:
        """Push everything that is pending, and commit each outcome before the next push."""
        for name in self._names:
            tenant = Tenant(f"{self._url}/{name}")
            query = select(_connections).where(_connections.c.tenant == name, _connections.c.state == "pending")
            with engine.connect() as database:
                for row in database.execute(query).all():
                    entity = tenant.connection(display_name=row.display_name, client=row.client, password=row.password)
                    saved = tenant.save(entity)
                    assert saved.ErpConnectionId > 0
                    database.execute(
                        update(_connections)
                        .where(_connections.c.id == row.id)
                        .values(
                            state="in_sync",
                            erp_connection_id=saved.ErpConnectionId,
                            connection_id=saved.ConnectionId,
                        )
                    )
                    database.commit()
            tenant.close()
