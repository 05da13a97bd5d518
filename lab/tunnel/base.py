"""Base classes of modes: options checked by a model, configurations and key files rendered from templates."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from lab.core.errors import EnvironmentBroken
from lab.core.files import RenderedFile, templates
from lab.topology import Objection, TrafficClass, Tunnel, TunnelIntent, extra_lines
from lab.topology.intent import Extra
from lab.tunnel.mode import End, Identity, Process, Traits, processes
from lab.tunnel.options import Options, TlsOptions, objections

if TYPE_CHECKING:
    from jinja2 import Environment

Render = Callable[[str], str]
"""Renders a template of the mode with the names of its configurations: tunnel, options, process, identity, mode."""

_ONLY_OVER: Mapping[str, str] = {"http-proxy": "tcp", "port-share": "tcp", "fragment": "udp"}
"""Options that OpenVPN has over one transport only."""


class Mode:
    """A mode with two templates, `server.conf.j2` and `client.conf.j2`, in the folder `templates` of its package.

    A template that the package lacks is taken from the packages of its base classes, the parts that modes share
    (`parts/…`) from `lab.tunnel`. `PACKAGE/NAME` names the template of one of these packages, so that a template can
    extend the one of a base class.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    traits: ClassVar[Traits]
    options: ClassVar[type[Options]]

    @cached_property
    def templates(self) -> "Environment":
        """The mode's templates: of the packages of its class and base classes, nearest first."""
        packages = dict.fromkeys(import_module(base.__module__).__package__ for base in type(self).__mro__)
        return templates(*(p for p in packages if p and (files(p) / "templates").is_dir()))

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """Object to unknown and malformed options, and to a version of OpenVPN that cannot run the mode."""
        found = list(objections(self.name, self.options, intent.options))
        for option, transport in _ONLY_OVER.items():
            if intent.options.get(option) is not None and intent.transport != transport:
                found.append(
                    Objection(("options", option), f"OpenVPN supports {option!r} over {transport.upper()} only")
                )
        if intent.openvpn is not None and _series(intent.openvpn) not in self.traits.openvpn:
            versions = " or ".join(self.traits.openvpn)
            what = f"OpenVPN {intent.openvpn} cannot run the mode {self.name}"
            found.append(Objection(("openvpn",), what, f"use {versions}"))
        return found

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """Return what the traits rule out."""
        if self.traits.multicast:
            return {}
        return {"multicast": f"mode {self.name} does not forward packets to a multicast group"}

    def static_options(self, server_networks: Sequence[str], client_networks: Sequence[str]) -> Mapping[str, Any]:
        """Return no options: routing daemons announce the networks."""
        return {}

    def render(self, tunnel: Tunnel, identity: Identity) -> Mapping[End, Sequence[RenderedFile]]:
        """Render configurations, certificates and keys, and the files of `mode_files`.

        Raises `EnvironmentBroken` if a template is missing or fails.
        """
        from jinja2 import TemplateError, TemplateNotFound

        options = self.options.model_validate(dict(tunnel.options))

        def rendered(template: str, process: Process) -> str:
            try:
                return self.templates.get_template(template).render(
                    tunnel=tunnel, options=options, process=process, identity=identity, mode=self
                )
            except TemplateError as error:
                why = f"no template {error}" if isinstance(error, TemplateNotFound) else str(error)
                raise EnvironmentBroken(f"mode {self.name} cannot render {template}: {why}") from error

        return {
            end: [
                RenderedFile(
                    process.configuration,
                    _with_extra(rendered(f"{end}.conf.j2", process), getattr(options.extra, end)),
                ),
                *self._keys(process, options, identity),
                *self.mode_files(process, options, identity, partial(rendered, process=process)),
            ]
            for end, process in processes(tunnel).items()
        }

    def mode_files(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """Render the files that only this mode has."""
        return []

    def _keys(self, process: Process, options: Options, identity: Identity) -> Sequence[RenderedFile]:
        """Render the key files that the template parts `trust`, `static-key` and `dial` name."""
        from lab.tunnel.keyfiles import static_key, tls_crypt_v2_client, tls_crypt_v2_server

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
    """A mode whose server process serves several tunnels, with a file of settings per client (`client-config-dir`)."""

    client_template: ClassVar[str] = "parts/addresses-of-client.j2"
    """The template of a client's file: its addresses."""

    def mode_files(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """Render the server's file for the client of this tunnel."""
        if process.end == "client":
            return []
        return [RenderedFile(process.files / "clients" / identity.client.common_name, render(self.client_template))]


def _series(version: str) -> str:
    """Return the first two numbers of a version, as 2.6 of 2.6.3."""
    return ".".join(version.split(".")[:2])


def _with_extra(text: str, extra: Extra) -> str:
    lines = extra_lines(extra)
    heading = "# These lines are `extra` in the topology file."
    return "\n".join([text.rstrip("\n"), heading, *lines, ""]) if lines else text


def _secret(process: Process, name: str, content: str) -> RenderedFile:
    return RenderedFile(process.files / name, content, mode=0o600)
