"""The optional dependencies of the package; the error for a missing one has the command that installs it."""

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
                raise  # the module exists, but not one that it imports
            raise EnvironmentBroken(f"{module} is not installed: run `pip install {_DISTRIBUTION}[{extra}]`") from error
