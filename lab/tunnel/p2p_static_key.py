"""Point to point with a key that both ends have: no TLS, no certificates, nothing negotiated, no `iroute`.

The oldest way to run OpenVPN, and on its way out: whoever gets the key reads all that was ever sent. It is here to
show that dynamic routing never needed more than that.
"""

from typing import Annotated

from pydantic import Field

from lab.tunnel.base import Mode
from lab.tunnel.mode import Traits
from lab.tunnel.options import Options


class StaticKeyOptions(Options):
    """What `options` of a tunnel in this mode may say."""

    cipher: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+-CBC$")] = "AES-256-CBC"
    """Ciphers that authenticate (AEAD) need TLS, which makes a new key for each session."""


class PointToPointStaticKey(Mode):
    """See the module."""

    name = "p2p-static-key"
    summary = "one key at both ends, no TLS and no iroute: to see it work, not to choose it"
    traits = Traits(
        mode_server=False,
        certificates=False,
        deprecated="a static key has no forward secrecy: OpenVPN 2.6 warns of it, 2.7 asks for an option of its own, "
        "and 2.8 shall not have it",
    )
    options = StaticKeyOptions


MODE = PointToPointStaticKey()
