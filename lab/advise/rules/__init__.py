"""All rules, in the order of their report."""

from lab.advise.rule import Rule
from lab.advise.rules import addresses, crypto, inner_table, kernel, mtu, obsolete, restart, routing

RULES: tuple[Rule, ...] = (
    *inner_table.RULES,
    *routing.RULES,
    *restart.RULES,
    *mtu.RULES,
    *addresses.RULES,
    *kernel.RULES,
    *crypto.RULES,
    *obsolete.RULES,
)
