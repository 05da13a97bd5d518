"""The passwords of proxies: where OpenVPN would ask for one at a console, it reads one of the lab's."""

from collections.abc import Iterator
from typing import Final

from lab.configs.disk import Argument
from lab.configs.openvpn.configuration import Directive
from lab.own.draft import Draft
from lab.own.material import Slot, slot_of
from lab.own.overrides import LAB, Overrides, remark
from lab.topology.own import Issue

_OPTIONS: Final = ("http-proxy", "socks-proxy")
_WHERE: Final = 2
"""The number of the argument of a proxy that names the file with its user and password."""
_AUTO: Final = ("auto", "auto-nct")
"""The proxy says how to authenticate, and OpenVPN then asks."""


def plan(draft: Draft, domain: str) -> Overrides:
    """Return the passwords that the lab gives a process for its proxies."""
    found = Overrides()
    file = draft.configuration.last("http-proxy-user-pass")
    answered = False
    if file is not None:
        here = slot_of(draft, file)
        answered = here.has_credentials
        if not answered:
            found += _given(draft, file, here, domain)
    last = {d.name: d for d in draft.configuration.all(*_OPTIONS) if d.connection is None}
    for directive in draft.configuration.all(*_OPTIONS):
        if directive.connection is not None or directive is last[directive.name]:
            for part in _parts(draft, directive, domain, answered=answered or file is not None):
                found += part
    return found


def _parts(draft: Draft, directive: Directive, domain: str, *, answered: bool) -> Iterator[Overrides]:
    word = directive.argument(_WHERE)
    if word is None:
        return
    if word in _AUTO and directive.name == "http-proxy":
        if not answered:
            yield _given(draft, directive, Slot(directive, None, None, None), domain)
        return
    here = slot_of(draft, directive, _WHERE)
    if not here.has_credentials:
        yield _given(draft, directive, here, domain)


def _given(draft: Draft, directive: Directive, here: Slot, domain: str) -> Overrides:
    """Return a file with a user and a password, and what makes OpenVPN read it."""
    if here.missing and here.path is not None:
        what = "the proxy's password is not at hand: the lab writes one"
        return _issued(draft, directive, Issue(path=here.path, kind="credentials", domain=domain), what)
    path = LAB / f"{draft.name}.proxy"
    issue = Issue(path=path, kind="credentials", domain=domain)
    why = (
        "OpenVPN would ask for the proxy's user and password"
        if here.content is None
        else ("the file has no password for the proxy, so that OpenVPN would ask for it")
    )
    found = _issued(draft, directive, issue, f"{why}: the lab gives a user and a password of its own")
    if directive.name == "http-proxy-user-pass":
        return found + Overrides(arguments=("--http-proxy-user-pass", str(path)))
    method = () if directive.argument(_WHERE) in _AUTO else directive.arguments[_WHERE + 1 :]
    line = (directive.name, *directive.arguments[:_WHERE], str(path), *method)
    if directive.connection is not None and not isinstance(directive.spot, Argument):
        # In a <connection> block the line wins over an argument.
        return found + Overrides(rewritten=((directive.spot, " ".join(line)),))
    if directive.argument(_WHERE) in _AUTO and directive.name == "http-proxy":
        return found + Overrides(arguments=("--http-proxy-user-pass", str(path)))
    return found + Overrides(arguments=(f"--{line[0]}", *line[1:]))


def _issued(draft: Draft, directive: Directive, issue: Issue, what: str) -> Overrides:
    issue = issue.model_copy(update={"common_name": draft.node})
    return Overrides(issues=(issue,), remarks=(remark(draft, "issued", directive.spot, what),))
