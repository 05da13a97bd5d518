"""The article's mode: a server process for one client, which is handed `iroute 0.0.0.0 0.0.0.0`.

OpenVPN in `mode server` drops what its inner routing table does not map to a client. A table that maps everything
to the only client passes everything, and the kernel's table alone decides (openvpn(8), `--iroute`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from lab.files import RenderedFile, templates
from lab.topology import Family, Objection, Tunnel, TunnelIntent
from lab.topology.model import Frozen
from lab.tunnel.mode import End, Identity, Process, processes

Seconds = Annotated[int, Field(ge=1, le=86400)]
Cipher = Annotated[str, Field(pattern=r"^\??[A-Za-z0-9-]+$")]
"""A cipher's name; with `?` before it, OpenVPN skips it where its TLS library lacks it."""


class Options(Frozen):
    """What `options` of a tunnel in this mode may say."""

    hand_out: Literal["client-connect", "client-config-dir"] = "client-connect"
    """How the client gets its `iroute`: from a script that runs when it connects, or from a file of its name."""
    iroute: tuple[Family, ...] = ("ipv4", "ipv6")
    """The families whose default route becomes an inner route; an empty list shows what happens without."""
    push_iroute: bool = False
    """Also `push "iroute 0.0.0.0 0.0.0.0"`, as the article does; the client rejects it."""
    topology: Literal["net30", "subnet"] = "net30"
    keepalive: tuple[Seconds, Seconds] = (15, 45)
    """Seconds between pings, and without an answer until a restart; the server waits twice as long."""
    tun_mtu: int = Field(1500, ge=576, le=65535)
    data_ciphers: tuple[Cipher, ...] = Field(("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"), min_length=1)
    persist_tun: bool = True
    verb: int = Field(4, ge=0, le=11)
    """4 is the least at which OpenVPN says that it drops a packet."""

    @field_validator("keepalive")
    @classmethod
    def _leaves_time_for_two_pings(cls, keepalive: tuple[int, int]) -> tuple[int, int]:
        if keepalive[1] < 2 * keepalive[0]:
            raise ValueError("OpenVPN wants the second number to be at least twice the first")
        return keepalive


class Iroute:
    """See the module."""

    name = "iroute"
    summary = "mode server for one client, with an inner route for everything: the article's recipe"

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """Unknown or malformed options."""
        try:
            Options.model_validate(dict(intent.options))
        except ValidationError as error:
            found = error.errors()
            # A list whose only item is wrong is called too short as well.
            inside = {item["loc"][:-1] for item in found}
            return [_objection(i["loc"], i["type"], i["msg"]) for i in found if i["loc"] not in inside]
        return []

    def render(self, tunnel: Tunnel, identity: Identity) -> Mapping[End, Sequence[RenderedFile]]:
        """Configurations, certificates, keys, and the server's script or file that hands out the inner route."""
        options = Options.model_validate(dict(tunnel.options))
        ends = processes(tunnel)
        environment = templates("lab.tunnel")

        def rendered(template: str, process: Process) -> str:
            return environment.get_template(template).render(
                tunnel=tunnel, options=options, process=process, identity=identity
            )

        files: dict[End, list[RenderedFile]] = {}
        for end, process in ends.items():
            credentials = identity.server if end == "server" else identity.client
            files[end] = [
                RenderedFile(process.configuration, rendered(f"iroute.{end}.conf.j2", process)),
                RenderedFile(process.files / "ca.crt", identity.authority),
                RenderedFile(process.files / f"{end}.crt", credentials.certificate),
                RenderedFile(process.files / f"{end}.key", credentials.key, mode=0o600),
            ]
        server = ends["server"]
        given = rendered("iroute.handed-out.j2", server)
        if options.hand_out == "client-config-dir":
            name = identity.client.common_name
            files["server"].append(RenderedFile(server.files / "clients" / name, given))
        else:
            script = environment.get_template("iroute.client-connect.sh.j2").render(given=given)
            files["server"].append(RenderedFile(server.files / "client-connect", script, mode=0o755))
        return files


def _objection(location: tuple[str | int, ...], kind: str, message: str) -> Objection:
    if kind == "extra_forbidden":
        known = ", ".join(sorted(f.alias or name for name, f in Options.model_fields.items()))
        return Objection(("options", *location), "no such option", f"mode iroute knows {known}")
    return Objection(("options", *location), message.removeprefix("Value error, "))


MODE = Iroute()
