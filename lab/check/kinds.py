"""All kinds of expectations and actions by the key that names them; a new kind is a class and its line here."""

from collections.abc import Mapping

from lab.check.actions.faults import ApplyFault, Impair, Undo
from lab.check.actions.prefixes import Announce, Withdraw
from lab.check.actions.processes import Exec, Restart
from lab.check.expectations.advise import AdviseVerdict
from lab.check.expectations.clear import NothingInClear
from lab.check.expectations.log import LogLine, NoLogLine
from lab.check.expectations.mtu import PathMtu
from lab.check.expectations.path import PacketPath
from lab.check.expectations.reaches import DoesNotReach, Reaches
from lab.check.expectations.route import RouteAbsent, RoutePresent
from lab.check.expectations.session import SessionState
from lab.check.expectations.tunnel import TunnelState
from lab.check.model import Action, Expected


def _expected(*kinds: type[Expected]) -> dict[str, type[Expected]]:
    """Index kinds by name; an argument that misses an abstract method fails the type check."""
    return {kind.kind: kind for kind in kinds}


def _actions(*kinds: type[Action]) -> dict[str, type[Action]]:
    return {kind.kind: kind for kind in kinds}


EXPECTATIONS: Mapping[str, type[Expected]] = _expected(
    TunnelState,
    SessionState,
    RoutePresent,
    RouteAbsent,
    Reaches,
    DoesNotReach,
    PacketPath,
    NothingInClear,
    PathMtu,
    LogLine,
    NoLogLine,
    AdviseVerdict,
)
"""All kinds of expectations by name."""

ACTIONS: Mapping[str, type[Action]] = _actions(Announce, Withdraw, ApplyFault, Undo, Restart, Impair, Exec)
"""All kinds of actions by name."""
