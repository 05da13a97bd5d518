"""Archives of images as `docker save` writes them."""

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Return a tar file of this user's."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid = len(content), os.getuid(), os.getgid()
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def archive(place: Path, names: list[str], *layers: Mapping[str, bytes]) -> Path:
    """Write an archive as `docker save` does."""
    configuration = json.dumps({"config": {"Cmd": ["sh"], "Env": ["A=b"]}}).encode()
    files = {f"{number}/layer.tar": tar_of(layer) for number, layer in enumerate(layers)}
    manifest = [{"Config": "c.json", "RepoTags": names, "Layers": list(files)}]
    file = place / "image.tar"
    file.write_bytes(tar_of({**files, "c.json": configuration, "manifest.json": json.dumps(manifest).encode()}))
    return file
