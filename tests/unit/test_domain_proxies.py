"""A proxy's address, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.proxies import Proxy, ProxyAddress, parse_proxy, proxy_problem
from erpsyncd.domain.secrets import Damaged, Reference, Scheme, Secret, Template, parse_template

CANARY = "canary-7d1f"
NAME, PASSWORD = Reference(Scheme.ENV, "NAME"), Reference(Scheme.FILE, "/etc/erpsyncd/proxy.password")


def address(scheme: str = "http", host: str = "proxy.example", port: int = 3128) -> ProxyAddress:
    return ProxyAddress(scheme=scheme, host=host, port=port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy.example:3128", Proxy(address=address())),
        ("http://proxy.example:3128/", Proxy(address=address())),
        ("https://PROXY_1:80", Proxy(address=address("https", "PROXY_1", 80))),
        ("http://10.0.0.1:65535", Proxy(address=address(host="10.0.0.1", port=65535))),
        ("http://[2001:db8::1]:1", Proxy(address=address(host="[2001:db8::1]", port=1))),
        ("http://u@proxy.example:3128", Proxy(address=address(), username=Secret("u"))),
        ("http://u:@proxy.example:3128", Proxy(address=address(), username=Secret("u"))),
        (
            "http://u%40d:p:%2F%2525@proxy.example:3128",
            Proxy(address=address(), username=Secret("u@d"), password=Secret("p:/%25")),
        ),
        (
            f"http://x-@{{env:NAME}}:@{{file:{PASSWORD.name}}}%3A@proxy.example:3128",
            Proxy(address=address(), username=Secret("x-p%40/@:"), password=Secret("p%40/@::")),
        ),
    ],
)
def test_good_addresses(text: str, expected: Proxy) -> None:
    """What is written follows the rules of addresses; what a reference stands for is taken as it is."""
    values = dict.fromkeys((NAME, PASSWORD), Secret("p%40/@:"))

    assert expected == parse_proxy(parse_template(text)).resolve(values)


@pytest.mark.parametrize(
    "text",
    [
        "proxy.example:3128",
        "http://proxy.example",
        "http://proxy.example:",
        "http://proxy.example:0",
        "http://proxy.example:65536",
        "http://:3128",
        "http://300.1.1.1:3128",
        "http://1:3128",
        "http://[::1:3128",
        "http://[10.0.0.1]:3128",
        "http://[proxy]:3128",
        "socks5://proxy.example:3128",
        "HTTP://proxy.example:3128",
        "http://proxy.example:3128/path",
        "http://proxy.example:3128?x",
        "http://proxy example:3128",
        f"http://u:{CANARY}@@proxy.example:3128",
        f"http://u:{CANARY}/@proxy.example:3128",
        f"http://:{CANARY}@proxy.example:3128",
        f"http://@proxy.example:3128/{CANARY}",
        "http://@proxy.example:3128",
        "http://@{env:NAME}:3128",
        "http://proxy.example:@{env:NAME}",
        "@{env:NAME}",
        "@{env:NAME}://proxy.example:3128",
        "http://u@{env:NAME}proxy.example:3128",
        "http://proxy.example:3128/@{env:NAME}",
        "http://[@{env:NAME}]:3128",
    ],
)
def test_bad_addresses(text: str) -> None:
    """References may stand for name and password only; no phrase repeats what was written."""
    problem = proxy_problem(parse_template(text))

    assert problem is not None
    assert problem.startswith("must ")
    assert CANARY not in problem


def test_a_damaged_value() -> None:
    """It says itself what is wrong, as with every other stored value."""
    with pytest.raises(KeyError, match="does not open"):
        parse_proxy(Template((Damaged("proxy/acme does not open"),)))


def test_a_reference_without_a_value() -> None:
    """The reference that is missing is named."""
    with pytest.raises(KeyError) as caught:
        parse_proxy(parse_template("http://@{env:NAME}@proxy.example:3128")).resolve({})

    assert (NAME,) == caught.value.args


@given(text=st.text(alphabet="htps:/@{env}[].0123456789%\0-", max_size=40))
def test_anything_is_either_read_or_refused(text: str) -> None:
    """Nothing makes it crash, and what it reads names a host and a port."""
    template = Template((text,))

    if proxy_problem(template) is None:
        found = parse_proxy(template).address
        assert found.host
        assert 0 < found.port < 65536


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("10.0.0.1", False), ("proxy.example", False)],
)
def test_on_this_machine(host: str, *, expected: bool) -> None:
    """An address says whether what is sent there leaves this machine."""
    assert expected is address(host=host).is_here


def test_nothing_shows_the_password() -> None:
    """Neither as described nor resolved."""
    described = parse_proxy(parse_template(f"http://u:{CANARY}@proxy.example:3128"))

    assert CANARY not in f"{described} {described!r} {described.resolve({})} {described.resolve({})!r}"
    assert "proxy.example:3128" == described.address.where
