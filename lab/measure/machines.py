"""The machines of a run: in what they differ, and what becomes of those that do."""

from collections.abc import Mapping, Sequence

from lab.core.errors import InputError
from lab.measure.record import Environment, Run, Trial

APART = "apart"
"""The plan's `machines` that keeps trials of different machines apart instead of refusing them."""
_SHOWN = 19
"""Characters of an image's digest in a message: `sha256:` and twelve digits."""
_TITLES = {"lab": "lab", "kernel": "Linux", "engine": "engine", "clock_source": "clock", "governor": "governor"}


def differences(one: Environment, other: Environment) -> dict[str, tuple[str, str]]:
    """Return what two machines do not have in common, of all that makes their trials incomparable.

    An image or a program that only one of them has used so far is not a difference, nor is a package that is not known.
    """
    found = {
        title: (getattr(one, key) or "none", getattr(other, key) or "none")
        for key, title in _TITLES.items()
        if getattr(one, key) != getattr(other, key)
    }
    for kind, mine, theirs in (("image ", one.images, other.images), ("", _versions(one), _versions(other))):
        for name in mine.keys() & theirs.keys():
            if mine[name] != theirs[name]:
                found[f"{kind}{name}"] = (mine[name][:_SHOWN], theirs[name][:_SHOWN])
    return found


def _versions(environment: Environment) -> dict[str, str]:
    return {**environment.versions, **({"package": environment.package} if environment.package else {})}


def difference_from(others: Mapping[str, Environment], name: str, environment: Environment) -> str:
    """Return in words how a machine differs from the first of others, empty if it does not."""
    for other, known in others.items():
        if found := differences(known, environment):
            words = ", ".join(f"{title} {mine} instead of {theirs}" for title, (theirs, mine) in found.items())
            return f"{name} differs from {other}: {words}"
    return ""


def require_alike(machines: Mapping[str, Environment]) -> None:
    """Raise `InputError` if machines differ, with the first that does and how to keep them apart."""
    seen: dict[str, Environment] = {}
    for name, environment in machines.items():
        if words := difference_from(seen, name, environment):
            raise InputError(
                f"{words}: their trials are not comparable; `machines: apart` in the plan keeps them apart"
            )
        seen[name] = environment


def set_apart(run: Run, trials: Sequence[Trial]) -> list[Trial]:
    """Return a run's trials as variants of their own for each kind of machine, if the plan says so and there are any.

    Each variant then names the properties in which the machines differ.
    """
    differing = sorted(
        {title for one in run.machines.values() for other in run.machines.values() for title in differences(one, other)}
    )
    if run.plan.get("machines") != APART or not differing:
        return list(trials)
    names = {name: ", ".join(_of(environment, differing)) for name, environment in run.machines.items()}
    return [
        trial.model_copy(update={"variant": trial.variant.model_copy(update={"on": names.get(trial.machine, "")})})
        for trial in trials
    ]


def _of(environment: Environment, titles: Sequence[str]) -> list[str]:
    """Return the properties of a machine by their titles."""
    properties = {title: getattr(environment, key) for key, title in _TITLES.items()}
    properties |= {f"image {name}": digest[:_SHOWN] for name, digest in environment.images.items()}
    properties |= _versions(environment)
    return [f"{title} {properties.get(title) or 'none'}" for title in titles]
