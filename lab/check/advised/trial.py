"""`trial`: a failure that `lab advise` foresees is tried on the running lab."""

import time
from collections import defaultdict
from collections.abc import Mapping
from threading import Lock
from typing import Literal

from lab.check.advised.disturbed import DISTURBED
from lab.check.advised.paths import new_prefix
from lab.check.advised.scene import Scene, Tried
from lab.check.advised.scenes import scene_of
from lab.check.advised.undisturbed import UNDISTURBED
from lab.check.model import Expected, Result, Start, Verdict
from lab.core.errors import LabError
from lab.runtime.lab import Lab

UNTRIED: Mapping[str, str] = {
    "static-key": "it is about secrecy: packets do not show who can decrypt them",
    "compression": "it is about secrecy: packets do not show who can decrypt them",
    "topology-default": "it shows when another version of OpenVPN runs the same file",
    "obsolete": "it shows when another version of OpenVPN runs the same file",
    "iroute-dco": "it needs a kernel with DCO; see `lab vm`",
    "iroute-reconnect": "it needs a kernel with DCO; see `lab vm`",
    "reneg-dco": "it needs a kernel with DCO; see `lab vm`",
    "dco-off": "it needs a kernel with DCO; see `lab vm`",
}
"""The rules that are not tried, with the reason."""
_OF_INNER_ROUTES = frozenset(
    {
        "second-client",
        "overlapping-iroutes",
        "no-iroute",
        "one-family",
        "fixed-iroutes",
        "route-without-iroute",
        "iroute-without-route",
        "client-to-client",
    }
)
"""The rules about inner routes, which another failure may have removed for good by the time of the trial."""
OF_THE_SERVER = _OF_INNER_ROUTES | {"route-quota", "stale-routes", "pushed-iroute", "quick-reconnect"}
"""The rules whose failure is the server's alone; the others are tried at the end that they are about."""
_LOCKS: dict[str, Lock] = defaultdict(Lock)
"""One trial at a time for each server process: they disturb its tunnels."""


class Trial(Expected):
    """A failure that `lab advise` foresees, which is confirmed or refuted."""

    kind = "trial"
    summary = "a failure that `lab advise` foresees is confirmed or refuted by packets"

    trial: str
    """The failure, as `lab advise` names it."""
    tunnel: str
    end: Literal["server", "client"]
    """The end that is exposed."""
    node: str
    """Its node."""

    def __str__(self) -> str:
        return f"{self.trial}: tunnel {self.tunnel}, {self.end} on {self.node}"

    @property
    def place(self) -> str:
        """The tunnel."""
        return self.tunnel

    def check(self, lab: Lab, start: Start) -> Result:
        """Try it, and put the tunnel back as it was."""
        tunnel = lab.tunnel(self.tunnel)
        with _LOCKS[f"{lab.name} {tunnel.tunnel.shared or tunnel.name}"]:
            began = time.monotonic()
            try:
                tried = self._tried(lab)
            except LabError as error:
                tried = Tried(None, str(error))
            after = time.monotonic() - began
        del start
        if tried.happened is None:
            return Result(Verdict.CANNOT_TELL, tried.seen, after, remark=True)
        verdict = Verdict.CONFIRMED if tried.happened else Verdict.REFUTED
        return Result(verdict, tried.seen, after, evidence=(tried.seen,))

    def _tried(self, lab: Lab) -> Tried:
        if self.trial in UNTRIED:
            return Tried(None, UNTRIED[self.trial])
        scene = scene_of(lab, self.tunnel)
        if scene is None:
            return Tried(None, "an end of the tunnel is external")
        return try_failure(self.trial, scene, self.end)


def try_failure(name: str, scene: Scene, end: Literal["server", "client"]) -> Tried:
    """Try a failure by the name of its rule."""
    if name in (*_OF_INNER_ROUTES, "mtu-mismatch") and scene.server.has("stale-routes-check"):
        stale = UNDISTURBED["stale-routes"](scene, end)
        if stale.happened is not False:
            return Tried(
                None, f"`stale-routes-check` can have removed an inner route, or the client's address: {stale.seen}"
            )
    trial = UNDISTURBED.get(name) or DISTURBED[name]
    tried = trial(scene, end)
    if (
        name == "fixed-iroutes" and not tried.happened and (scene.inner_routes or scene.client_options.gaps)
    ):  # the prefixes that there are may all be covered
        return new_prefix(scene, end)
    return tried
