"""`lab cluster`: the certificates and processes of a cluster, on which other commands run with `--cluster`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.core.extras import require

app = typer.Typer(
    name="cluster",
    help="Certificates and processes of a cluster, on which `lab measure --cluster` runs.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

Certificates = Annotated[
    Path,
    typer.Option("--certs", envvar="LAB_CLUSTER_CERTS", metavar="DIR", help="What `lab cluster certs` wrote."),
]


@app.command()
def certs(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The directory to write; only its owner may enter.")],
) -> None:
    """Write an authority, and certificates of it for the scheduler, the workers and their callers.

    A holder of one can run any program on every worker. An authority that the directory has already signs new ones.
    """
    from lab.cluster.certificates import write_certificates

    for file in write_certificates(directory):
        print(file)


@app.command()
def scheduler(
    certificates: Certificates,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="The address to listen at.")] = "0.0.0.0",  # noqa: S104 - TLS only
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port to listen at; 0 for any.")] = 8786,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve Dask's dashboard at the loopback address, port 8787.")
    ] = False,
) -> None:
    """Run the scheduler of a cluster until SIGTERM or Ctrl-C; it speaks TLS only."""
    require("cluster", "distributed")
    from lab.cluster.servers import run_scheduler

    run_scheduler(certificates, host, port, dashboard=dashboard, say=_say)


@app.command()
def worker(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The scheduler, e.g. tls://10.0.0.1:8786.")],
    certificates: Certificates,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The machine's name in results; its host name."),
    ] = None,
) -> None:
    """Run the worker of a machine until SIGTERM or Ctrl-C; its labs use this directory.

    One block of measurements at a time runs on a machine. A worker waits for its scheduler, and starts again when it
    loses it.
    """
    require("cluster", "distributed")
    from lab.cluster.servers import run_worker

    run_worker(address, certificates, name, say=_say)


@app.command()
def manifests(
    image: Annotated[
        str, typer.Option("--image", metavar="NAME", help="The image of all pods: the lab, its engine and its images.")
    ],
    workers: Annotated[int, typer.Option("--workers", min=1, help="Number of workers, each on a node of its own.")] = 3,
    cpus: Annotated[str, typer.Option("--cpus", metavar="QUANTITY", help="Processors of a worker.")] = "2",
    memory: Annotated[str, typer.Option("--memory", metavar="QUANTITY", help="Memory of a worker.")] = "4Gi",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The scheduler's port.")] = 8786,
) -> None:
    """Print the manifests of a cluster on Kubernetes: no privileged mode, no host network."""
    from lab.cluster.manifests import manifests as rendered

    print(rendered(image=image, workers=workers, cpus=cpus, memory=memory, port=port), end="")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
