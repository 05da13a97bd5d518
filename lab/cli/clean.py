"""`lab clean`: remove all labs and images."""

from lab.cli.output import progress


def clean() -> None:
    """Take down all labs, and remove the lab's images.

    Packages that callers of a cluster have sent to this machine are removed too.
    """
    from lab.cluster.package import remove_packages
    from lab.engine import all_engines
    from lab.image import remove_everything
    from lab.runtime.destroy import destroy
    from lab.runtime.registry import existing_labs
    from lab.vm.virtual_machine import sweep_virtual_machines

    with progress() as say:
        engines = all_engines()
        for engine in engines:
            for name in existing_labs(engine):
                say(f"taking down lab {name}")
                destroy(name, engine=engine)
        if any(engine.name == "docker" for engine in engines):  # virtual machines are containers of Docker's
            for name in sweep_virtual_machines():
                say(f"ended the virtual machine {name}")
        remove_everything(say)
        remove_packages(say)
