"""The image of each node, with the version of OpenVPN in its tag: that of the file, or that of a tunnel's `openvpn`."""

from collections.abc import Collection, Mapping, Sequence

from lab.topology.images import is_pinned, repository_of, tag_of, with_tag
from lab.topology.mistakes import Findings, Located, one_of, quote
from lab.topology.nodes import DraftNode, below
from lab.topology.tunnels import DraftTunnel
from lab.topology.vocabulary import Vocabulary


def choose_images(
    drafts: Mapping[str, DraftNode],
    tunnels: Sequence[DraftTunnel],
    vocabulary: Vocabulary,
    override: str | None,
    findings: Findings,
) -> None:
    """Choose the image of every node: by an override, else by a tunnel's `openvpn`, else the file's."""
    requested: dict[str, str] = {}
    for tunnel in tunnels:
        version = tunnel.intent.openvpn
        if version is None:
            continue
        at = below(tunnel.tree, ("openvpn",))
        if not check_version(version, vocabulary.openvpn, at, findings):
            continue
        for name in (tunnel.client, tunnel.server):
            if objection := _objection_to_version(drafts[name], vocabulary):
                findings.add(at, f"cannot set the version on {quote(name)}: {objection}")
            elif requested.setdefault(name, version) != version:
                what = f"another tunnel asks for OpenVPN {requested[name]} on {quote(name)}, this one for {version}"
                findings.add(at, what, "a node has one version")
    for draft in drafts.values():
        image = draft.node.image
        if image is None or draft.image is None:
            continue
        if repository_of(image) != vocabulary.node_image:
            _check_lab_image(image, draft.image, vocabulary, findings)
            continue
        version = override or requested.get(draft.name)
        if version is None:
            tag = tag_of(image)
            if tag is not None or not is_pinned(image):
                check_version(tag or "latest", vocabulary.openvpn, draft.image, findings)
        elif is_pinned(image):
            findings.add(draft.image, "cannot set the version: the image is pinned by its digest")
        else:
            draft.node = draft.node.model_copy(update={"image": with_tag(image, version)})


def check_version(version: str, versions: Collection[str], at: Located, findings: Findings) -> bool:
    """Return True if the lab has a version of OpenVPN; note a mistake if it does not."""
    if version in versions:
        return True
    findings.add(at, f"unknown OpenVPN version {quote(version)}", f"the lab has {one_of(versions)}")
    return False


def _check_lab_image(image: str, at: Located, vocabulary: Vocabulary, findings: Findings) -> None:
    lab_images = [vocabulary.node_image, *vocabulary.images]
    name = repository_of(image)
    if name.partition("/")[0] == vocabulary.node_image.partition("/")[0] and name not in lab_images:
        findings.add(at, f"the lab has no image {quote(name)}", f"it has {one_of(lab_images)}")


def _objection_to_version(draft: DraftNode, vocabulary: Vocabulary) -> str | None:
    image = draft.node.image
    if image is None or repository_of(image) != vocabulary.node_image:
        return f"its image is not one of {vocabulary.node_image!r}"
    return None
