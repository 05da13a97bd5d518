"""All rules, in the order of their report."""

from lab.advise.rule import Rule
from lab.advise.rules import (
    addresses,
    clients,
    crypto,
    inner_paths,
    inner_table,
    keepalive,
    kernel,
    mtu,
    negotiation,
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
    *timers.RULES,
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
