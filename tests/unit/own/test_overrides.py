"""Differences in the lab from the user's files, with reasons."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.configs.openvpn.client_options import read_client_options
from lab.configs.openvpn.versions import ROWS
from lab.core.errors import InputError
from lab.own import overrides, scripts
from lab.own.named_files import files_of
from lab.own.overrides import Overrides
from tests.helpers.drafts import draft

SERVER = "dev tun\nserver 10.8.0.0 255.255.255.0\ndh none\n"


def plan(
    directory: Path, text: str, *, image: str = "openvpn-routing-lab/node:2.6", run_scripts: bool = False
) -> Overrides:
    return overrides.plan(draft(directory, "hq", SERVER + text, image=image), run_scripts=run_scripts)


def test_plain_configuration_needs_nothing(tmp_path: Path) -> None:
    text = "persist-tun\nuser nobody\ngroup nogroup\nkeepalive 10 60\ntopology subnet\nproto tcp\nifconfig-noexec\n"
    assert plan(tmp_path, text) == Overrides()


@pytest.mark.parametrize(
    "line",
    [
        "daemon", "daemon openvpn", "mlock", "machine-readable-output", "suppress-timestamps", "setcon system_u",
        "management-hold", "management-client-auth", "management-signal", "management-query-passwords",
        "register-dns", "block-outside-dns", "static-challenge code 1", "dev-node /dev/tun", "providers ../evil",
        "setenv LD_PRELOAD /etc/openvpn/x.so", "auth-gen-token-secret missing.key",
    ],
)  # fmt: skip
def test_lines_that_no_argument_undoes_are_commented_out_with_the_reason(tmp_path: Path, line: str) -> None:
    found = plan(tmp_path, line + "\n")
    assert [spot.line for spot in found.commented] == [4]
    assert found.arguments == ()
    (told,) = found.remarks
    assert (told.kind, told.node, told.place) == ("override", "hq", "hq/etc/openvpn/office.conf:4")
    assert told.what.startswith(f"runs without '{line.split()[0]}': ")


@pytest.mark.parametrize(
    ("line", "arguments"),
    [("user openvpn", ("--user", "nobody")), ("group nobody", ("--group", "nogroup")), ("user nobody", ())],
)
def test_user_that_the_image_lacks_is_replaced_by_an_argument(
    tmp_path: Path, line: str, arguments: tuple[str, ...]
) -> None:
    assert plan(tmp_path, line + "\n").arguments == arguments


def test_users_of_another_image_are_unknown(tmp_path: Path) -> None:
    found = plan(tmp_path, "user openvpn\n", image="debian:trixie")
    assert found.arguments == ()
    assert [told.kind for told in found.remarks] == ["unknown"]


@pytest.mark.parametrize("line", ["log /var/log/openvpn.log", "log-append openvpn.log", "syslog"])
def test_log_is_the_labs_by_the_order_of_arguments(tmp_path: Path, line: str) -> None:
    found = plan(tmp_path, line + "\n")
    assert (found.arguments, found.commented) == ((), ())
    assert found.remarks[0].what == "writes its log to /var/log/openvpn/hq-office.log instead: the lab reads it"


def test_jail_is_kept_without_scripts_and_left_with_stubs(tmp_path: Path) -> None:
    text = "chroot /var/jail\nclient-config-dir ccd\n"
    kept = plan(tmp_path, text)
    assert kept.commented == ()
    assert kept.needs == ("chroot",)
    assert [str(path) for path in kept.directories] == ["/var/jail", "/var/jail/tmp", "/var/jail/ccd"]
    assert plan(tmp_path, text + "script-security 2\nup /etc/openvpn/up.sh\n").commented == ()  # runs before chroot(2)
    for line in ("learn-address /l.sh", "plugin x.so", "management-client-auth", "up up.sh\nup-restart"):
        left = plan(tmp_path, text + f"script-security 2\ntmp-dir t\ncrl-verify crl.pem\n{line}\n")
        assert left.commented[0].line == 4
        assert left.arguments == (
            *("--client-config-dir", "/var/jail/ccd", "--tmp-dir", "/var/jail/t", "--crl-verify", "/var/jail/crl.pem"),
        )
        assert [str(path) for path in left.directories] == ["/var/jail/ccd", "/var/jail/t"]
        assert left.needs == ()


def test_files_in_a_jail_are_those_that_openvpn_opens_there(tmp_path: Path) -> None:
    files = dict.fromkeys(("jail/crl.pem", "jail/cc.sh", "jail/ccd/a", "up.sh", "crl.pem"), "")
    text = "chroot jail\ncrl-verify crl.pem\nclient-config-dir /ccd\n"
    made = draft(tmp_path, "hq", SERVER + text, files)
    there = [str(file.path) for file in files_of(made)]
    assert {"/etc/openvpn/jail/crl.pem", "/etc/openvpn/jail/ccd/a"} <= set(there)
    assert "/etc/openvpn/crl.pem" not in there


def test_script_in_a_jail_runs_from_there_without_the_jail(tmp_path: Path) -> None:
    text = "chroot jail\nscript-security 2\nlearn-address \"/l.sh 'two words'\"\nclient-connect c.sh\nup up.sh\n"
    files = {"jail/l.sh": "#!/bin/sh\ntrue\n", "jail/c.sh": "#!/bin/sh\necho 'push-reset' >> $1\n", "up.sh": ""}
    found = script(tmp_path, text, files, run=True)
    assert found.arguments == (
        *("--client-connect", "/etc/openvpn/jail/c.sh"),
        *("--learn-address", '/etc/openvpn/jail/l.sh "two words"'),
    )
    assert {str(f.path) for f in found.files} == {f"/etc/openvpn/{name}" for name in files}
    # OpenVPN ends at a script that is not there, also if an argument overrides it.
    assert [spot.line for spot in found.commented] == [7, 6]
    stubs = script(tmp_path, text, files)
    assert [word for word in stubs.arguments if word.startswith("/etc/openvpn/jail")] == ["/etc/openvpn/jail/c.sh"]
    assert stubs.arguments[4:6] == ("--learn-address", "/etc/openvpn/lab/hq-office.stub learn-address")


def test_settings_of_clients_in_a_jail_are_found(tmp_path: Path) -> None:
    files = {"jail/ccd/east": "iroute 192.168.7.0 255.255.255.0\n"}
    made = draft(tmp_path, "hq", SERVER + "chroot /etc/openvpn/jail\nclient-config-dir /ccd\n", files)
    assert [entry.client for entry in read_client_options(made.configuration).entries] == ["east"]
    assert "/etc/openvpn/jail/ccd/east" in [str(file.path) for file in files_of(made)]


def test_jail_named_by_a_path_with_dots_stays_in_the_node(tmp_path: Path) -> None:
    found = plan(tmp_path, "chroot ../../../../jail\nclient-config-dir ../../ccd\n")
    assert [str(path) for path in found.directories] == ["/jail", "/jail/tmp", "/ccd"]


def test_options_that_the_version_refuses_stay_with_a_remark(tmp_path: Path) -> None:
    found = plan(tmp_path, "keysize 256\nno-replay\nfast-io\n", image="openvpn-routing-lab/node:2.7")
    assert found.commented == ()
    assert [(told.kind, told.place[-1]) for told in found.remarks] == [
        ("refused", "4"),
        ("refused", "5"),
        ("warned", "6"),
    ]
    assert "2.6 still accepts it" in found.remarks[1].what
    assert '("--fast-io option ignored.")' in found.remarks[2].what
    (told,) = plan(tmp_path, "no-replay\nfast-io\n").remarks
    assert (told.kind, told.place[-1]) == ("warned", "4")
    assert "You have disabled Replay Protection" in told.what


def test_options_that_openvpn_does_not_know_stay_with_a_remark(tmp_path: Path) -> None:
    found = plan(tmp_path, "keepaliv 10 60\nsetenv opt unheard-of\nping\n")
    assert found.commented == ()
    assert [(told.kind, told.place.rpartition(":")[2], told.what) for told in found.remarks] == [
        (
            "refused",
            "4",
            "OpenVPN 2.6 refuses this line: 'keepaliv' is not an option of OpenVPN 2.6; did you mean 'keepalive'?",
        ),
        ("refused", "6", "OpenVPN 2.6 refuses this line: 'ping' takes 1 argument, not 0"),
    ]


def script(directory: Path, text: str, files: dict[str, str] | None = None, *, run: bool = False) -> Overrides:
    return scripts.plan(draft(directory, "hq", SERVER + text, files), run_scripts=run)


UP = 'script-security 2\nup "up.sh eth0"\n'


def test_script_at_hand_is_replaced_by_a_stub_with_an_argument(tmp_path: Path) -> None:
    found = script(tmp_path, UP, {"up.sh": "#!/bin/sh\ncurl http://192.0.2.1\n"})
    assert found.commented == ()
    assert found.arguments == ("--up", "/etc/openvpn/lab/hq-office.stub up")
    files = {str(file.path): file for file in found.files}
    # OpenVPN ends at a script that is not there, also if an argument overrides it.
    assert files["/etc/openvpn/up.sh"].source == tmp_path / "hq/etc/openvpn/up.sh"
    stub = files["/etc/openvpn/lab/hq-office.stub"]
    assert (stub.mode, (stub.text or "").splitlines()[0]) == (0o755, "#!/bin/sh")
    assert files["/var/log/openvpn/hq-office.scripts.log"].mode == 0o666
    assert found.remarks[0].what.endswith("run it with --run-scripts")


def test_script_that_is_not_at_hand_is_commented_out_too(tmp_path: Path) -> None:
    for run in (False, True):
        found = script(tmp_path, "script-security 2\nup /etc/openvpn/update-resolv-conf\n", run=run)
        assert [spot.line for spot in found.commented] == [5]
        assert found.arguments == ("--up", "/etc/openvpn/lab/hq-office.stub up")
        assert found.remarks[0].what.endswith("it is not at hand")


def test_script_runs_with_run_scripts_and_tells_what_it_lacks(tmp_path: Path) -> None:
    text = "#!/bin/sh\n# wget it\nif true; then /sbin/ipset list; fi\nip route add 192.0.2.0/24 dev tun0\necho curl\n"
    found = script(tmp_path, UP, {"up.sh": text}, run=True)
    assert (found.arguments, found.commented) == ((), ())
    assert [(str(file.path), file.mode) for file in found.files] == [("/etc/openvpn/up.sh", 0o755)]
    assert [told.what for told in found.remarks] == ["the up script calls ipset, which the lab's images lack"]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("#!/bin/sh\necho 'iroute 10.0.0.0 255.0.0.0' >> $1\nexit 0\n", True),
        ("#!/etc/openvpn/sh\necho 'iroute 10.0.0.0 255.0.0.0' >> $1\n", False),
        ("#!/bin/sh\ntouch /tmp/x\n", False),
    ],
)
def test_client_connect_script_of_fixed_lines_runs_as_it_is(tmp_path: Path, text: str, *, runs: bool) -> None:
    found = script(tmp_path, "script-security 2\nclient-connect cc.sh\n", {"cc.sh": text})
    assert (found.arguments == ()) is runs
    assert (found.remarks == ()) is runs


def test_plugin_that_authenticates_is_replaced_by_a_stub_that_admits_everybody(tmp_path: Path) -> None:
    text = "plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so login\nverify-client-cert none\n"
    for run in (False, True):
        found = script(tmp_path, text, run=run)
        assert [spot.line for spot in found.commented] == [4]
        assert found.arguments == (
            "--auth-user-pass-verify", "/etc/openvpn/lab/hq-office.stub auth-user-pass-verify", "via-file",
            "--script-security", "2",
        )  # fmt: skip
    found = script(tmp_path, text + "script-security 3\n")
    assert "--script-security" not in found.arguments


def test_other_plugins_are_left_out_as_unknown(tmp_path: Path) -> None:
    found = script(tmp_path, "plugin my.so\n", {"my.so": "ELF"})
    assert found.arguments == ()
    assert [told.kind for told in found.remarks] == ["override", "unknown"]
    kept = script(tmp_path, "plugin my.so\n", {"my.so": "ELF"}, run=True)
    assert kept.commented == ()


def test_users_that_a_management_program_admitted_are_admitted_by_a_stub(tmp_path: Path) -> None:
    found = script(tmp_path, "management-client-auth\n")
    assert found.arguments[0] == "--auth-user-pass-verify"


NAMES = st.sampled_from(
    sorted(
        {row.option for row in ROWS}
        | set(overrides.SCRIPTED)
        | {
            "plugin",
            "chroot",
            "user",
            "group",
            "setenv",
            "providers",
            "dev-node",
            "client-config-dir",
            "cd",
            "script-security",
        }
    )
)
WORDS = st.one_of(
    st.sampled_from(["", "/", "..", "/bin/true", "up.sh", '"a b"', '"\\"x', "2", "none", "\x00", "[inline]"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=12),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.tuples(NAMES, st.lists(WORDS, max_size=3)), max_size=10), run=st.booleans())
def test_any_configuration_ends_in_a_plan_or_an_input_error(
    tmp_path: Path, lines: list[tuple[str, list[str]]], *, run: bool
) -> None:
    text = SERVER + "\n".join(" ".join([name, *words]) for name, words in lines)
    try:
        made = draft(tmp_path, "hq", text)
        found = overrides.plan(made, run_scripts=run) + scripts.plan(made, run_scripts=run)
    except InputError:
        return
    assert all("\n" not in told.what for told in found.remarks)
    paths = [*found.directories, *(file.path for file in found.files)]
    assert all(path.is_absolute() and ".." not in path.parts for path in paths)
    assert all(isinstance(argument, str) and "\n" not in argument for argument in found.arguments)
