"""Which dimensions of a test are tried together, where it is about none of them."""

from __future__ import annotations

import pytest

from erpsyncd.domain.tenants import Protocol

#: Each store and each protocol once, instead of all with all: what is stored knows nothing of the way it
#: travelled, and the contract tests of both ports hold each to the same. Gives `upgraded_url` and `protocol`.
each_store_and_protocol = pytest.mark.parametrize(
    ("upgraded_url", "protocol"),
    [("sqlite", Protocol.SOAP), ("postgresql", Protocol.REST)],
    indirect=["upgraded_url"],
)
