"""All rules, in the order of their report."""

from lab.advise.rule import Rule
from lab.advise.rules import (
    addresses,
    bfd,
    clients,
    crypto,
    inner_paths,
    inner_table,
    keepalive,
    kernel,
    mtu,
    negotiation,
    next_hop,
    obsolete,
    outer,
    restart,
    routing,
    sessions,
    timers,
)

RULES: tuple[Rule, ...] = (
    *inner_table.RULES,
    *inner_paths.RULES,
    *clients.RULES,
    *routing.RULES,
    *sessions.RULES,
    *next_hop.RULES,
    *timers.RULES,
    *bfd.RULES,
    *keepalive.RULES,
    *restart.RULES,
    *negotiation.RULES,
    *mtu.RULES,
    *addresses.RULES,
    *outer.RULES,
    *kernel.RULES,
    *crypto.RULES,
    *obsolete.RULES,
)
