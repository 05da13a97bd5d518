"""Images built and pulled by buildah(1), without a daemon, in a store of the lab's own below its data directory."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.core.errors import EnvironmentBroken
from lab.core.places import data_directory, runtime_directory
from lab.core.progress import Say
from lab.image import recipe
from lab.image.base import labels, make_tar
from lab.image.build import SILENCE, headline, logged, one_at_a_time, proxies

PACKAGE = "buildah"
_PULL_PATIENCE = 900
"""Seconds for one image, from a slow registry too."""


def is_installed() -> bool:
    """Return whether buildah is installed."""
    return shutil.which("buildah") is not None


def build(wanted: recipe.Recipe, archive: Path, say: Say) -> None:
    """Build an image of the lab, and write it to an archive as `docker save` does.

    Raises `EnvironmentBroken` with one sentence and the path of the build's output, `ToolsMissing` like `ensure_base`.
    """
    reference = wanted.reference
    with one_at_a_time(), logged(wanted.variant or wanted.name, reference) as log:
        say(f"building {reference} ({wanted.about}) with buildah; the whole output is in {log}")
        _provide_base(say, log)
        arguments = {**wanted.build_args, "BASE": _local(recipe.BASE_IMAGE)}
        _build(wanted.context, reference, arguments, {}, say, log)
        _run(["push", _local(reference), f"docker-archive:{archive}:{reference}"], log)


def ensure_base(say: Say) -> None:
    """Pull or make the base image if it is missing; raises like `build`."""
    with one_at_a_time(), logged("base", recipe.BASE_IMAGE) as log:
        _provide_base(say, log)


def pull(reference: str, archive: Path) -> None:
    """Pull an image from its registry, and write it to an archive.

    Raises `EnvironmentBroken` with the reason of a failure.
    """
    with one_at_a_time():
        try:
            _pull(reference)
            _run(["push", reference, f"docker-archive:{archive}:{reference}"], None)
        except subprocess.CalledProcessError as error:
            raise EnvironmentBroken(_last_line(error)) from error


def remove_all(say: Say) -> None:
    """Remove buildah's store, with every image in it."""
    store = _store()
    if store.exists():
        with one_at_a_time():
            if is_installed():
                subprocess.run([*_command(), "rm", "--all"], check=False, capture_output=True, stdin=subprocess.DEVNULL)
            for mount in _mounts_below(store):  # a killed buildah leaves them
                subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
            try:
                shutil.rmtree(store)
            except OSError as error:
                raise EnvironmentBroken(f"buildah's images cannot be removed: {error}") from error
        say("removed the images that buildah has built")


def _mounts_below(directory: Path) -> list[str]:
    """Return the mount points below a directory (proc(5), "mountinfo"), the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if Path(point).is_relative_to(directory)]


def _provide_base(say: Say, log: Path) -> None:
    found = subprocess.run(
        [*_command(), "inspect", "--type", "image", "--format", _RECIPE_OF, _local(recipe.BASE_IMAGE)],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if found.returncode == 0 and found.stdout.strip() == recipe.base_digest():
        return
    context = data_directory() / "base"
    shutil.rmtree(context, ignore_errors=True)  # of a killed build
    context.mkdir(mode=0o700)
    try:
        try:
            _pull(recipe.OFFICIAL_BASE)
            source = f"FROM {recipe.OFFICIAL_BASE}\n"
        except subprocess.CalledProcessError as error:
            make_tar(context / "base.tar", say, log, _last_line(error))
            source = 'FROM scratch\nADD base.tar /\nCMD ["bash"]\n'
        (context / "Dockerfile").write_text(source)
        _build(context, recipe.BASE_IMAGE, {}, labels(), say, log)
    finally:
        shutil.rmtree(context)


_RECIPE_OF = f'{{{{index .OCIv1.Config.Labels "{recipe.RECIPE_LABEL}"}}}}'


def _pull(reference: str) -> None:
    subprocess.run(
        [*_command(), "pull", "--quiet", _with_registry(reference)],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_PULL_PATIENCE,
    )


def _local(reference: str) -> str:
    """Return the whole name of an image that was built here: for ordinary users buildah finds no shorter one."""
    return f"localhost/{reference}"


def _with_registry(reference: str) -> str:
    """Return a reference with Docker's registry before it, which buildah takes for no default."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


def _build(
    context: Path, reference: str, arguments: Mapping[str, str], tags: Mapping[str, str], say: Say, log: Path
) -> None:
    # The commands of a Dockerfile run in a chroot, which needs neither a runtime nor control groups. Layers are kept:
    # the images of all versions share the first ones.
    options = ["--isolation", "chroot", "--network", "host", "--layers", "--force-rm", "--pull=never"]
    for name, value in {**arguments, **proxies()}.items():
        options += ["--build-arg", f"{name}={value}"]
    for name, value in tags.items():
        options += ["--label", f"{name}={value}"]
    command = [*_command(), "build", *options, "--tag", _local(reference), str(context)]
    with (
        log.open("a") as output,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            output.write(line)
            if shown := headline(line):
                say(shown)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "buildah build")


def _run(arguments: Sequence[str], log: Path | None) -> None:
    done = subprocess.run(
        [*_command(), *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SILENCE,
    )
    if log is not None:
        with log.open("a") as output:
            output.write(done.stdout)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, arguments[0], stderr=done.stdout)


def _store() -> Path:
    return data_directory() / "buildah"


def _command() -> list[str]:
    return ["buildah", "--root", str(_store()), "--runroot", str(runtime_directory() / "buildah")]


def _last_line(error: subprocess.CalledProcessError) -> str:
    lines = [line for line in (error.stderr or "").splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ") if lines else f"buildah ended with {error.returncode}"
