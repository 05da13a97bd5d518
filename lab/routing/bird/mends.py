"""Changes of bird.conf in words."""

from lab.routing.inquiry import Mend


def words(mend: Mend, file: str) -> str:
    """Return the line to add or to change, and where, as a clause in the imperative."""
    name = mend.session.name if mend.session else ""
    protocol = f"`protocol bgp {name}` in {file}"
    channel = f"the channel `{mend.family}` of {protocol}"
    match mend.action:
        case "activate":
            return f"add `{mend.family} {{ import all; export all; }};` to {protocol}"
        case "originate":
            return f"add `route {mend.prefix} blackhole;` to a `protocol static` in {file}"
        case "permit" | "export":
            place = f" ({mend.line.place})" if mend.line else ""
            return f"let the filter{place} accept {mend.prefix}"
        case "policy":
            word = "import" if mend.direction == "in" else "export"
            return f"add `{word} all;` to {channel}"
        case "password":
            what = "add the other end's" if mend.value else "set the same"
            return f'{what} `password "…";` in {protocol}' if mend.value else f"{what} `password` at both ends"
        case "ttl-security":
            return f"add `ttl security on;` to {protocol}"
        case "remote-as":
            return f"change it to `neighbor … as {mend.value};` in {protocol}"
        case "address":
            return f"add a `protocol bgp` with `neighbor {mend.value} as {mend.asn or 'AS'};` to {file}"
        case "no-shutdown":
            return f"`birdc enable {name}`, and remove `disabled` from {protocol}"
        case "limit":
            return f"raise `import limit` in {channel}, then `birdc restart {name}`"
        case "hold":
            return f"lower `min hold time` to {mend.value or '3'} in {protocol}, or raise the neighbour's hold time"
        case "next-hop":
            return f"add `next hop self;` to {channel}, or a route to {mend.value}"
        case "reflect":
            return f"add `rr client;` to {protocol}"
        case "prefer":
            return f"set a higher LOCAL_PREF, `bgp_local_pref = {mend.value};`, in the import filter of {protocol}"
        case "interior":
            return _interior(mend, file)


def _interior(mend: Mend, file: str) -> str:
    """Return the statement of an interface of OSPF or RIP."""
    found = mend.interface
    assert found is not None
    section = f'`interface "{found.interface}"` of `protocol {found.protocol}` for {found.family} in {file}'
    match mend.setting:
        case "passive":
            return f"remove `{'stub' if found.protocol == 'ospf' else 'passive'}` from {section}"
        case "hello" | "dead":
            return f"change it to `{mend.setting} {mend.value};` in {section}"
        case "network-type":
            return f"change it to `type {mend.value};` in {section}"
        case "area":
            return f"move {section} to `area {mend.value}`"
    return f"add {section}"
