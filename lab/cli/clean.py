"""`lab clean`: remove all labs and images."""

from lab.cli.output import progress


def clean() -> None:
    """Take down all labs, and remove the lab's images."""
    from lab.engine import open_engine
    from lab.image import remove_everything
    from lab.runtime.destroy import destroy
    from lab.runtime.registry import running_labs
    from lab.vm.virtual_machine import remove_disks, sweep_virtual_machines

    engine = open_engine()
    with progress() as say:
        for name in running_labs(engine):
            say(f"taking down lab {name}")
            destroy(name, engine=engine)
        for name in sweep_virtual_machines():
            say(f"ended the virtual machine {name}")
        remove_disks()
        remove_everything(say)
