"""Passwords and keys in configurations are masked."""

import pytest

from lab.core.secrets import mask_secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (" neighbor 10.0.0.1 password s3cret\n", " neighbor 10.0.0.1 password ********\n"),
        ('  password "a; b";\n', "  password ********;\n"),
        (" ip ospf message-digest-key 1 md5 s3cret\n", " ip ospf message-digest-key 1 md5 ********\n"),
        (" ip ospf authentication-key s3cret\n", " ip ospf authentication-key ********\n"),
        ("  key-string s3cret\n", "  key-string ********\n"),
        ("<key>\nabc\ndef\n</key>\nverb 4\n", "<key>\n********\n</key>\nverb 4\n"),
        ("<tls-crypt>\nabc\n", "<tls-crypt>\n********"),
        (
            "-----BEGIN OpenVPN Static key V1-----\nabc\n-----END OpenVPN Static key V1-----\n",
            "-----BEGIN OpenVPN Static key V1-----\n********\n-----END OpenVPN Static key V1-----\n",
        ),
        ("-----BEGIN PRIVATE KEY-----\nabc\n", "-----BEGIN PRIVATE KEY-----\n********\n"),
        ("! no password here\nrouter bgp 65001\n", "! no password here\nrouter bgp 65001\n"),
        (
            "line 8: % Unknown command: neighbor x password s3cret",
            "line 8: % Unknown command: neighbor x password ********",
        ),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked
