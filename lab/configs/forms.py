"""The forms of configurations that are translated into the files of OpenVPN and FRR, recognised by content."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.configs.openwrt import uci
from lab.configs.sense import translation as sense
from lab.configs.translated import Translated
from lab.configs.vyos import translation as vyos


@dataclass(frozen=True)
class Form:
    """A form of configuration."""

    name: str
    """Its name for messages."""
    recognises: Callable[[str], bool]
    translate: Callable[[str, str], Translated]
    """Translate a text under the name that the user gave; raises `Unreadable` with file and line."""


FORMS = (
    Form("OpenWrt's UCI", uci.looks_like_uci, uci.translate),
    Form("a config.xml of pfSense or OPNsense", sense.looks_like_sense, sense.translate),
    Form("a configuration of VyOS or EdgeOS", vyos.looks_like_vyos, vyos.translate),
)


def form_of(text: str) -> Form | None:
    """Return the form of a text; None for what may be a file of OpenVPN or of a routing daemon."""
    return next((form for form in FORMS if form.recognises(text)), None)
