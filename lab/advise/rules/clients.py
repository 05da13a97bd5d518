"""Rules about several clients of one server."""

from dataclasses import dataclass
from itertools import permutations

from lab.advise.inner import (
    CHECK_DCO,
    is_within,
    may_be_in_the_kernel,
    may_refuse_clients,
    no_inner_table,
    one_client_only,
    unknown_source,
    without_inner_routes,
)
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject, userspace_because
from lab.configs.openvpn.client_options import InnerRoute, Network

_DO = "give each network to one client only, in the file of its common name"


def overlapping_iroutes(subject: Subject) -> Judgement:
    """Judge if two clients have an `iroute` for the same network."""
    if other := no_inner_table(subject):
        return other
    claims = _claims(subject)
    if not claims:
        return without_inner_routes(subject, "no client has an `iroute` for a network")
    if only := one_client_only(subject):
        return safe("the server accepts one client only", only.spot)
    if judgement := _claimed_twice(subject, claims):
        return judgement
    if subject.client_options.gaps:
        return unknown_source(subject.client_options.gaps[0])
    for (inside, part), (wider, whole) in permutations(claims.items(), 2):
        if inside != wider and is_within(inside, wider) and {c.client for c in part} != {c.client for c in whole}:
            return unknown(
                f"{inside} of one client is a part of {wider} of another: packets to it go to the first one only",
                *[claim.route.spot for claim in (*part, *whole)],
                do="check that no host behind the other client has an address in it",
            )
    return safe("no two clients have the same network", *[c.route.spot for found in claims.values() for c in found])


@dataclass(frozen=True)
class _Claim:
    """An inner route of a client."""

    client: str | None
    """The client's common name; None for any client."""
    from_script: bool
    route: InnerRoute


def _claims(subject: Subject) -> dict[Network, list[_Claim]]:
    """Return the inner routes by network, without default routes, which `second-client` judges."""
    found: dict[Network, list[_Claim]] = {}
    for entry in subject.client_options.entries:
        script = entry.source == "script"
        for route in entry.inner:
            if not route.is_default:
                found.setdefault(route.network, []).append(_Claim(None if script else entry.client, script, route))
    return found


def _claimed_twice(subject: Subject, claims: dict[Network, list[_Claim]]) -> Judgement | None:
    """Return the judgement for a network that several clients have; None if there is none."""
    shared = subject.end.last("duplicate-cn")
    for network, found in claims.items():
        spots = [claim.route.spot for claim in found]
        names = sorted({claim.client for claim in found if claim.client is not None})
        open_to_any = [claim for claim in found if claim.client is None]
        if len(names) > 1:
            who = f"{' and '.join(names)} both have"
        elif open_to_any:
            who = "every client has" if open_to_any[0].from_script else "every client without a file of its own has"
        elif shared:
            who, spots = "with `duplicate-cn` several connections can have", [shared.spot, *spots]
        else:
            continue
        why = f"{who} {network}: the last one to connect gets its packets, and the others stay connected"
        if len(names) < 2 and (check := may_refuse_clients(subject)):
            return unknown(f"{why}; `{check.name}` may refuse all clients but one", check.spot, *spots, do=_DO)
        if not userspace_because(subject) and may_be_in_the_kernel(subject):
            return unknown(f"{why}; with DCO it becomes a kernel route", *spots, do=CHECK_DCO)
        return exposed(why, *spots, do=_DO)
    return None


RULES = (
    Rule(
        "overlapping-iroutes",
        "Of two clients with an `iroute` for the same network the last one to connect gets its packets, until it "
        "disconnects; then no client does.",
        ("iroute", "iroute-ipv6", "client-config-dir", "client-connect", "duplicate-cn", "max-clients",
         "verify-x509-name"),
        "openvpn(8), --iroute; multi_learn_addr in multi.c of OpenVPN; tested with OpenVPN 2.6.14 and 2.7.8",
        overlapping_iroutes,
        "test_verdicts_are_what_disturbances_do",
    ),
)  # fmt: skip
