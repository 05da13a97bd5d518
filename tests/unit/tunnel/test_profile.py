"""The profiles of RouterOS: supported options are accepted, others are refused by name."""

from typing import Any

import pytest

from lab.catalogue import load
from lab.topology import TopologyError

FITS: dict[str, Any] = {
    "profile": "routeros-7",
    "transport": "udp",
    "options": {"topology": "subnet", "data-ciphers": ["AES-256-GCM"], "auth": "SHA256"},
}


def laid(**changes: Any) -> dict[str, Any]:
    options = {**FITS["options"], **changes.pop("options", {})}
    return {**FITS, **changes, "options": options}


def test_supported_options_are_accepted() -> None:
    (tunnel,) = load("article", tunnel=FITS).tunnels
    assert tunnel.profile == "routeros-7"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile": "routeros-6"}, "RouterOS 6 supports tcp only"),
        ({"profile": "routeros-6", "transport": "tcp"}, "RouterOS 6 does not support AES-256-GCM"),
        (
            {"profile": "routeros-6", "transport": "tcp", "options": {"data-ciphers": ["AES-256-CBC"]}},
            "RouterOS 6 does not support SHA256",
        ),
        ({"profile": "routeros7"}, "unknown profile 'routeros7'"),
        ({"mode": "p2p-tls", "options": {"topology": None}}, "mode p2p-tls does not support"),
        ({"options": {"topology": "net30"}}, "takes the peer's address of net30 for a netmask"),
        ({"options": {"data-ciphers": ["AES-256-GCM", "AES-128-GCM"]}}, "name exactly one"),
        ({"options": {"data-ciphers": ["CHACHA20-POLY1305"]}}, "does not support CHACHA20-POLY1305"),
        ({"options": {"auth": "SHA384"}}, "does not support SHA384"),
        ({"options": {"tls-crypt": True}}, "does not support this: no command sets it"),
        ({"options": {"fragment": 1300}}, "does not support this: it has no such option"),
        ({"options": {"remotes": [{"host": "a"}, {"host": "b"}]}}, "connects to one server only"),
    ],
)
def test_unsupported_option_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TopologyError) as refusal:
        load("article", tunnel=laid(**changes))
    assert words in str(refusal.value)
