"""Point to point with a key that both ends share: no TLS, no certificates, no negotiation, no `iroute`.

The oldest way to run OpenVPN, and deprecated: with the key, all recorded traffic can be decrypted. It shows that
dynamic routing needs neither TLS nor `iroute`.
"""

from typing import Annotated

from pydantic import Field

from lab.tunnel.base import Mode
from lab.tunnel.mode import Traits, TunnelMode
from lab.tunnel.options import Options


class StaticKeyOptions(Options):
    """The options of a tunnel in this mode."""

    cipher: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+-CBC$")] = "AES-256-CBC"
    """Authenticated ciphers (AEAD) need TLS, which makes a new key for each session."""


class PointToPointStaticKey(Mode):
    """The mode `p2p-static-key`."""

    name = "p2p-static-key"
    summary = "one key at both ends, no TLS and no iroute: for demonstration only"
    traits = Traits(
        mode_server=False,
        certificates=False,
        deprecated="a static key has no forward secrecy: OpenVPN 2.6 warns about it, 2.7 needs an extra option, "
        "and 2.8 will remove it",
    )
    options = StaticKeyOptions


MODE: TunnelMode = PointToPointStaticKey()
