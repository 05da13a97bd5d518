"""What most modes have in common: options that are checked by a model, and two configurations from templates."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from lab.core.files import RenderedFile, templates
from lab.topology import Objection, TrafficClass, Tunnel, TunnelIntent
from lab.tunnel.keyfiles import static_key, tls_crypt_v2_client, tls_crypt_v2_server
from lab.tunnel.mode import End, Identity, Process, Traits, processes
from lab.tunnel.options import Options, TlsOptions, objections

Render = Callable[[str], str]
"""Renders a template of this package, with the same names as the configuration: tunnel, options, process, identity."""


_ONLY_OVER: Mapping[str, str] = {"http-proxy": "tcp", "port-share": "tcp", "fragment": "udp"}
"""Options that one transport has."""


class Mode:
    """A mode whose configurations are the templates `NAME.server.conf.j2` and `NAME.client.conf.j2`."""

    name: ClassVar[str]
    summary: ClassVar[str]
    traits: ClassVar[Traits]
    options: ClassVar[type[Options]]

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """Unknown or malformed options, and a version of OpenVPN that cannot run the mode."""
        found = list(objections(self.name, self.options, intent.options))
        for option, transport in _ONLY_OVER.items():
            if intent.options.get(option) is not None and intent.transport != transport:
                found.append(Objection(("options", option), f"OpenVPN does that over {transport.upper()} only"))
        if intent.openvpn is not None and intent.openvpn not in self.traits.openvpn:
            able = " or ".join(self.traits.openvpn)
            what = f"OpenVPN {intent.openvpn} cannot run the mode {self.name}"
            found.append(Objection(("openvpn",), what, f"{able} can"))
        return found

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """What its traits say."""
        if self.traits.multicast:
            return {}
        return {"multicast": f"mode {self.name} has no way for packets to a multicast group"}

    def render(self, tunnel: Tunnel, identity: Identity) -> Mapping[End, Sequence[RenderedFile]]:
        """Configurations, certificates and keys, and what the mode has besides."""
        options = self.options.model_validate(dict(tunnel.options))
        environment = templates("lab.tunnel")

        def rendered(template: str, process: Process) -> str:
            return environment.get_template(template).render(
                tunnel=tunnel, options=options, process=process, identity=identity, mode=self
            )

        return {
            end: [
                RenderedFile(process.configuration, rendered(f"{self.name}.{end}.conf.j2", process)),
                *self._keys(process, options, identity),
                *self.more(process, options, identity, partial(rendered, process=process)),
            ]
            for end, process in processes(tunnel).items()
        }

    def more(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """Files that only this mode has."""
        return []

    def _keys(self, process: Process, options: Options, identity: Identity) -> Sequence[RenderedFile]:
        """What the template parts `trust`, `static-key` and `dial` name."""
        end = process.end
        proxy = options.http_proxy
        password = (
            [_secret(process, "proxy.txt", f"{proxy.user}\n{proxy.password}\n")]
            if end == "client" and proxy is not None and proxy.user is not None
            else []
        )
        if not self.traits.certificates:
            return [_secret(process, "static.key", static_key(identity.secret, "static")), *password]
        own = identity.server if end == "server" else identity.client
        files = [
            *password,
            RenderedFile(process.files / "ca.crt", identity.authority),
            RenderedFile(process.files / "crl.pem", identity.revoked),
            RenderedFile(process.files / f"{end}.crt", own.certificate),
            _secret(process, f"{end}.key", own.key),
        ]
        assert isinstance(options, TlsOptions)
        if options.tls_crypt:
            files.append(_secret(process, "tls-crypt.key", static_key(identity.secret, "tls-crypt")))
        if options.tls_crypt_v2:
            key = (
                tls_crypt_v2_server(identity.secret)
                if end == "server"
                else tls_crypt_v2_client(identity.secret, own.common_name)
            )
            files.append(_secret(process, "tls-crypt-v2.key", key))
        return files


class ManyClients(Mode):
    """A mode whose server process serves several tunnels: what each client gets lies in a file of its name."""

    handed_out: ClassVar[str] = "parts/addresses-of-client.j2"
    """The template of what the server hands out to a tunnel's client: its addresses."""

    def more(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """The server's file for this tunnel's client."""
        if process.end == "client":
            return []
        return [RenderedFile(process.files / "clients" / identity.client.common_name, render(self.handed_out))]


def _secret(process: Process, name: str, content: str) -> RenderedFile:
    return RenderedFile(process.files / name, content, mode=0o600)
