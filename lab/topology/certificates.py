"""The certificates that containerlab issues for programs in nodes: their settings, checked."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Final

from lab.topology.mistakes import Findings, quote
from lab.topology.model import Certificate, CertificateAuthority, Settings
from lab.topology.shape import InvalidValue, build, is_null
from lab.topology.source import Table, Tree

AUTHORITY: Final = "ca"
"""The name of the authority's files, where a node's have the node's name."""
_SMALLEST_KEY: Final = 1024
"""Go and OpenSSL make no smaller RSA key."""
_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
_PART = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"0|(?:{_NUMBER}(?:ns|us|µs|μs|ms|s|m|h))+")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST: Final = 2**63 / 1e9
"""Go counts nanoseconds in 64 bits: 292 years."""


def duration_of(text: str) -> timedelta | None:
    """Return a duration as Go spells it (`1h30m`), None for an empty text or zero; raises `ValueError`."""
    if text and not _DURATION.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a duration")
    seconds: float = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST:
        raise ValueError(f"{quote(text)} is too long")
    return timedelta(seconds=seconds) if seconds else None


def check_certificate(given: Certificate | CertificateAuthority, tree: Tree, findings: Findings) -> None:
    """Check the size of the key and the period of validity."""
    entries = tree.entries if isinstance(tree, Table) else {}
    if 0 < given.key_size < _SMALLEST_KEY:
        findings.add(entries["key-size"], f"an RSA key of {given.key_size} bits is too small", "write 2048 or more")
    try:
        duration_of(given.validity_duration)
    except ValueError as error:
        findings.add(entries["validity-duration"], str(error), "write it as '720h'; there is no unit for days")
    for host in given.sans if isinstance(given, Certificate) else ():
        if not host.isascii() or not host.isprintable() or not host:
            findings.add(entries["sans"], f"{quote(host)} is not a name or an address for a certificate")


def read_settings(tree: Tree | None, findings: Findings) -> Settings:
    """Read the key `settings`; the files of an authority are absolute afterwards."""
    if tree is None or is_null(tree):
        return Settings()
    try:
        settings = build(tree, Settings, findings)
    except InvalidValue:
        return Settings()
    authority = settings.certificate_authority
    at = tree.entries.get("certificate-authority") if isinstance(tree, Table) else None
    if not isinstance(at, Table):
        return settings
    check_certificate(authority, at, findings)
    if not (authority.cert and authority.key):
        for key in ("cert", "key"):
            if getattr(authority, key):
                what = (
                    f"{key!r} has no effect without {'key' if key == 'cert' else 'cert'!r}: the lab makes an authority"
                )
                findings.note(at.entries[key], "", what)
        return settings.model_copy(
            update={"certificate_authority": authority.model_copy(update={"cert": "", "key": ""})}
        )
    files = {}
    for key in ("cert", "key"):
        path = _resolve(getattr(authority, key), findings.file)
        if not path.is_file():
            findings.add(at.entries[key], f"the file {quote(getattr(authority, key))} does not exist")
        files[key] = str(path)
    return settings.model_copy(update={"certificate_authority": authority.model_copy(update=files)})


def _resolve(path: str, file: Path) -> Path:
    return Path(os.path.normpath(Path(os.path.abspath(file)).parent / os.path.expanduser(path)))  # noqa: PTH100, PTH111
