"""The optional dependencies of the package: what a bare installation lacks is named with the command that brings it."""

from importlib import import_module

from lab.core.errors import EnvironmentBroken

_DISTRIBUTION = "openvpn-routing-lab"


def require(extra: str, *modules: str) -> None:
    """Import the modules of an extra; raises `EnvironmentBroken` with the command that installs it."""
    for module in modules:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != module:
                raise  # the module is there, and what it imports itself is not
            raise EnvironmentBroken(f"{module} is not installed: run `pip install {_DISTRIBUTION}[{extra}]`") from error
