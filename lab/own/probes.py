"""Small rulesets that show which statement of nftables a kernel lacks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.engine.node import RunningNode

_FILTER = "type filter hook prerouting priority 0"
_INPUT = "type filter hook input priority 0"
_FORWARD = "type filter hook forward priority 0"
_SOURCE = "type nat hook postrouting priority 100"
_DESTINATION = "type nat hook prerouting priority -100"


@dataclass(frozen=True)
class Probe:
    """A statement of nft, the kernel's module that it needs, and the smallest ruleset with it."""

    statement: str
    """A regular expression that finds the statement in a rule."""
    module: str
    chain: str
    """The type of the chain."""
    rule: str
    objects: str = ""
    """The objects that the rule refers to, as nft declarations."""
    family: str = "ip"

    @property
    def text(self) -> str:
        """The ruleset, for `nft -f`."""
        chain = f"chain c {{ {self.chain}; {self.rule}; }}"
        return f"table {self.family} lab-probe {{ {self.objects} {chain}; }}"


_FLOWTABLE = "flowtable f { hook ingress priority 0; devices = { lo }; };"
PROBES: Final[Sequence[Probe]] = (
    Probe(r"\bmasquerade\b", "nft_masq", _SOURCE, "masquerade"),
    Probe(r"\bredirect\b", "nft_redir", _DESTINATION, "tcp dport 1 redirect to :2"),
    Probe(r"\btproxy\b", "nft_tproxy", _FILTER, "tcp dport 1 tproxy to :2"),
    Probe(r"\b[sd]nat\b", "nft_nat", _SOURCE, "snat to 192.0.2.1"),
    Probe(r"\btype nat\b", "nft_chain_nat", _SOURCE, "accept"),
    Probe(r"\bsocket\b", "nft_socket", _FILTER, "socket transparent 1 accept"),
    Probe(r"\bfib\b", "nft_fib_ipv4", _FILTER, "fib saddr type local accept"),
    Probe(r"\bsynproxy\b", "nft_synproxy", _INPUT, "tcp dport 1 synproxy mss 1400 wscale 7"),
    Probe(r"\bflow (add|offload)\b|\bflowtable\b", "nft_flow_offload", _FORWARD, "flow add @f", _FLOWTABLE),
    Probe(r"\bct count\b", "nft_connlimit", _FILTER, "ct count over 3 drop"),
    Probe(r"\bqueue\b", "nft_queue", _FILTER, "queue num 1"),
    Probe(r"\bdup to\b", "nft_dup_ipv4", _FILTER, "dup to 192.0.2.1"),
    Probe(r"\bosf\b", "nft_osf", _FILTER, 'osf name "Linux" accept'),
    Probe(r"\bipsec\b", "nft_xfrm", _INPUT, "ipsec in reqid 1 accept"),
    Probe(r"\bnumgen\b", "nft_numgen", _FILTER, "numgen random mod 2 0 accept"),
    Probe(r"\b(jhash|symhash)\b", "nft_hash", _FILTER, "jhash ip saddr mod 2 0 accept"),
    Probe(r"\bquota\b", "nft_quota", _FILTER, "quota over 10 mbytes drop"),
    Probe(r"\blimit rate\b", "nft_limit", _FILTER, "limit rate 3/minute accept"),
    Probe(r"\breject\b", "nft_reject_ipv4", _INPUT, "reject"),
    Probe(r"\blog\b", "nft_log", _FILTER, "log"),
    Probe(r"\bct\b", "nft_ct", _FILTER, "ct state new accept"),
)
"""The statements that are modules of their own in Linux, the most telling first."""


def missing_module(node: RunningNode, rule: str) -> str | None:
    """Return the module without which a node's kernel refuses a rule, as a trial in the node shows; else None.

    Nothing is loaded: the node's own nft checks each statement of the rule alone.
    """
    for probe in PROBES:
        if re.search(probe.statement, rule) and node.exec("nft", "-c", probe.text).failed:
            return probe.module
    return None
