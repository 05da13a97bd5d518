"""The files of routing daemons after chosen options: FRR's and BIRD's, with BGP, OSPF, RIP or static routes."""

from tests.helpers.corpus.options import Options

_ASNS = {"server": "65001", "client": "65002"}
_NETWORKS = {"server": ("10.1.0.0/24", "fd00:1::/64"), "client": ("10.2.0.0/24", "10.3.0.0/24", "fd00:2::/64")}
_ROUTER_IDS = {"server": "10.1.0.1", "client": "10.2.0.1"}
_BGP_TIMERS = {"short": "1 3", "middle": "3 9", "long": "10 30"}
_OSPF_TIMERS = {"short": "1 4", "middle": "2 8", "long": "5 30"}
_RIP_TIMERS = {"short": "2 6 4", "middle": "5 15 5", "long": "5 40 20"}
_LINES = "frr defaults traditional\n"
_LISTS = """ip prefix-list SITES permit 10.0.0.0/8 le 32
ipv6 prefix-list SITES permit fd00::/16 le 128
"""
_ANY = "route-map ANY permit 10\nexit\n"


def router(end: str, of: Options, other: str) -> str:
    """Return the file of an end's daemon; empty if it has none. `other` is the other end's inner address."""
    daemon = of[f"{end}-daemon"]
    if daemon == "none":
        return ""
    if daemon == "bird":
        return _bird(end, of, other)
    return _LINES + {"bgp": _frr_bgp, "ospf": _frr_ospf, "rip": _frr_rip, "static": _frr_static}[of["protocol"]](
        end, of, other
    )


def _timers(end: str, of: Options) -> str:
    timers = of[f"{end}-timers"]
    return of["server-timers"] if timers == "same" else timers


def _policy(end: str, of: Options) -> str:
    """Return an end's policy: with iBGP none is needed at either end."""
    return "ibgp" if of["server-policy"] == "ibgp" else of[f"{end}-policy"]


def _neighbour(end: str, of: Options) -> str:
    """Return how a neighbour is named: only one of two ends can wait for the other one."""
    kind = of.get("neighbour", "named")
    point_to_point = of["mode"] in ("p2p-tls", "static-key")
    if kind == "interface" and not (point_to_point and of["family"] != "ipv4"):
        return "named"
    return "named" if kind == "dynamic" and end == "client" else kind


def _networks(end: str, of: Options) -> list[str]:
    four = of["family"] != "ipv6"
    six = of["family"] != "ipv4"
    return [n for n in _NETWORKS[end] if (six if ":" in n else four)]


def _frr_bgp(end: str, of: Options, other: str) -> str:
    there = "client" if end == "server" else "server"
    policy = _policy(end, of)
    asn = "65001" if policy == "ibgp" else _ASNS[end]
    remote = "65001" if policy == "ibgp" else _ASNS[there]
    kind = _neighbour(end, of)
    name, lines = other, [f" neighbor {other} remote-as {remote}"]
    if kind == "dynamic":
        name = "SITES"
        inner = "fd00:8::/64" if of["family"] == "ipv6" else "10.8.0.0/24"
        lines = [" neighbor SITES peer-group", f" neighbor SITES remote-as {remote}"]
        lines += [f" bgp listen range {inner} peer-group SITES"]
    elif kind == "interface":
        name, lines = "tun0", [f" neighbor tun0 interface remote-as {remote}"]
    else:
        lines += [f" neighbor {other} timers connect 1"]
    policies = {
        "route-map": [f"  neighbor {name} route-map ANY {way}" for way in ("in", "out")],
        "prefix-list": [f"  neighbor {name} prefix-list SITES {way}" for way in ("in", "out")],
    }.get(policy, [])
    out = [f"router bgp {asn}", f" bgp router-id {_ROUTER_IDS[end]}"]
    out += [" no bgp ebgp-requires-policy"] if policy == "open" else []
    out += [f" timers bgp {_BGP_TIMERS[timers]}"] if (timers := _timers(end, of)) in _BGP_TIMERS else []
    out += lines
    networks = _networks(end, of)
    for family, mark in (("ipv4", "."), ("ipv6", ":")):
        mine = [n for n in networks if mark in n]
        if not mine:
            continue
        activate = [f"  neighbor {name} activate"]
        out += [f" address-family {family} unicast", *[f"  network {n}" for n in mine], *activate, *policies]
        out += [" exit-address-family"]
    before = _LISTS if policy == "prefix-list" else ""
    return before + (_ANY if policy == "route-map" else "") + "\n".join(out) + "\nexit\n"


def _frr_ospf(end: str, of: Options, other: str) -> str:
    hello, dead = _OSPF_TIMERS.get(_timers("server", of), "10 40").split()
    where = of["ospf-on"]
    lines = ["interface tun0"]
    lines += [" ip ospf area 0"] if where == "interface" else []
    lines += [f" ip ospf hello-interval {hello}", f" ip ospf dead-interval {dead}"] if hello != "10" else []
    lines += [" ip ospf network point-to-point", "exit", "router ospf", f" ospf router-id {_ROUTER_IDS[end]}"]
    lines += (
        [f" network {'10.8.0.0/24' if where == 'network' else '10.8.0.0/16'} area 0"] if where != "interface" else []
    )
    return "\n".join([*lines, " redistribute connected", "exit", ""])


def _frr_rip(end: str, of: Options, other: str) -> str:
    timers = _RIP_TIMERS.get(_timers(end, of))
    lines = ["router rip", f" network {'tun0' if of['ospf-on'] == 'interface' else '10.8.0.0/24'}"]
    lines += [f" timers basic {timers}"] if timers else []
    return "\n".join([*lines, " redistribute connected", "exit", ""])


def _frr_static(end: str, of: Options, other: str) -> str:
    there = "client" if end == "server" else "server"
    networks = _networks(there, of)
    return "".join(f"ip{'v6' if ':' in n else ''} route {n} tun0\n" for n in networks)


def _bird(end: str, of: Options, other: str) -> str:
    there = "client" if end == "server" else "server"
    networks = _networks(end, of)
    head = [f"router id {_ROUTER_IDS[end]};", "protocol device { }"]
    families = [family for family, mark in (("ipv4", "."), ("ipv6", ":")) if any(mark in n for n in networks)]
    for family, mark in (("ipv4", "."), ("ipv6", ":")):
        if family not in families:
            continue
        export = "all" if of["protocol"] == "static" else "where source != RTS_STATIC"
        head += [f"protocol kernel {{ {family} {{ import none; export {export}; }}; }}"]
        if of["protocol"] == "static":
            routes = " ".join(f'route {n} via "tun0";' for n in _networks(there, of) if mark in n)
        else:
            routes = " ".join(f"route {n} unreachable;" for n in networks if mark in n)
        head += [f"protocol static {{ {family}; {routes} }}"]
    body = {"bgp": _bird_bgp, "ospf": _bird_ospf, "rip": _bird_rip, "static": lambda *_: []}[of["protocol"]]
    return "\n".join([*head, *body(end, of, other, families), ""])


def _bird_bgp(end: str, of: Options, other: str, families: list[str]) -> list[str]:
    there = "client" if end == "server" else "server"
    policy = _policy(end, of)
    asn, remote = ("65001", "65001") if policy == "ibgp" else (_ASNS[end], _ASNS[there])
    inner = "fd00:8::/64" if of["family"] == "ipv6" else "10.8.0.0/24"
    kind = _neighbour(end, of)
    neighbour = f"neighbor range {inner} as {remote};" if kind == "dynamic" else f"neighbor {other} as {remote};"
    if kind == "interface":
        neighbour = f'interface "tun0"; neighbor range fe80::/10 as {remote};'
    hold = {"short": "hold time 3; keepalive time 1;", "middle": "hold time 9;", "long": "hold time 30;"}
    lists = {"ipv4": "10.0.0.0/8+", "ipv6": "fd00::/16+"}
    bodies = {
        "strict": "import none; export none;",  # BIRD refuses eBGP without a policy
        "prefix-list": "import where net ~ [ {} ]; export where source = RTS_STATIC && net ~ [ {} ];",
    }
    channels = [
        f"  {family} {{ "
        + bodies.get(policy, "import all; export where source = RTS_STATIC;").format(lists[family], lists[family])
        + " };"
        for family in families
    ]
    connect = [] if kind != "named" else ["  connect delay time 1; connect retry time 1; error wait time 1, 2;"]
    return [
        "protocol bgp site {",
        f"  local as {asn}; {neighbour}",
        f"  {hold.get(_timers(end, of), '')}",
        *connect,
        *channels,
        "}",
    ]


def _bird_ospf(end: str, of: Options, other: str, families: list[str]) -> list[str]:
    hello, dead = _OSPF_TIMERS.get(_timers("server", of), "10 40").split()
    return [
        "protocol ospf v2 {",
        "  ipv4 { import all; export where source = RTS_STATIC; };",
        f'  area 0 {{ interface "tun0" {{ type ptp; hello {hello}; dead {dead}; }}; }};',
        "}",
    ]


def _bird_rip(end: str, of: Options, other: str, families: list[str]) -> list[str]:
    update, timeout, _ = _RIP_TIMERS.get(_timers(end, of), "30 180 120").split()
    return [
        "protocol rip {",
        "  ipv4 { import all; export where source = RTS_STATIC; };",
        f'  interface "tun0" {{ update time {update}; timeout time {timeout}; }};',
        "}",
    ]
