"""Command line: `PYTHONPATH=tools python3 -m localcluster VERB`. Exit 0 well, 1 not, 2 wrong usage, 130 interrupted."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from localcluster import components, prerequisites
from localcluster.cluster import DEFAULT_MINOR, MINORS, LocalCluster, Status
from localcluster.errors import LocalClusterError, tail

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    verb: Callable[[LocalCluster, argparse.Namespace], int] = options.run
    try:
        os.environ["PATH"] = prerequisites.search_path()
        return verb(LocalCluster.of(CHECKOUT), options)
    except LocalClusterError as error:
        print(f"localcluster: {error.explain()}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"localcluster: {error}\nnext: run it as root", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `status | head -1`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("localcluster: interrupted; `up` carries on, `down` removes everything", file=sys.stderr)
        return 130


def _up(cluster: LocalCluster, options: argparse.Namespace) -> int:
    status = cluster.up(kubernetes=options.kubernetes)
    cluster.progress.step(f"cluster healthy: Kubernetes {status.version}, kubeconfig {status.kubeconfig}")
    return 0


def _down(cluster: LocalCluster, _: argparse.Namespace) -> int:
    cluster.progress.step("removed" if cluster.down() else "there is nothing to remove")
    return 0


def _status(cluster: LocalCluster, options: argparse.Namespace) -> int:
    status = cluster.status()
    print(json.dumps({**asdict(status), "healthy": status.healthy}, indent=1) if options.json else _readable(status))
    return 0 if status.healthy else 1


def _readable(status: Status) -> str:
    if not status.healthy:
        return "not healthy:\n" + "\n".join(f"  {problem}" for problem in status.problems)
    return "\n".join(
        [
            f"healthy     Kubernetes {status.version}",
            f"node        {status.node} at {status.node_address} (host side of the link: {status.host_address})",
            f"ranges      pods {status.pod_range}, services {status.service_range}: reach them with `exec -- COMMAND`",
            f"kubeconfig  {status.kubeconfig}",
        ]
    )


def _load_image(cluster: LocalCluster, options: argparse.Namespace) -> int:
    cluster.load_image(options.archive, name=options.name)
    return 0


def _images(cluster: LocalCluster, _: argparse.Namespace) -> int:
    cluster.node.require_holder()
    print("\n".join(cluster.images.names()))
    return 0


def _prerequisites(_: LocalCluster, options: argparse.Namespace) -> int:
    missing = prerequisites.missing(minor=options.kubernetes or DEFAULT_MINOR)
    print(prerequisites.explain(missing) if missing else "nothing is missing")
    return 1 if missing else 0


def _exec(cluster: LocalCluster, options: argparse.Namespace) -> int:
    argv = cluster.exec_argv(options.command, whole_node=options.node)
    os.execvpe(argv[0], argv, cluster.environment())  # noqa: S606  # the caller's own command, in our place


def _kubeconfig(cluster: LocalCluster, _: argparse.Namespace) -> int:
    print(cluster.layout.kubeconfig)
    return 0


def _logs(cluster: LocalCluster, options: argparse.Namespace) -> int:
    log = components.log_of(options.component, cluster.layout)
    if not log.exists():
        known = sorted(path.stem for path in cluster.layout.logs.glob("*.log"))
        raise LocalClusterError(f"there is no log of {options.component}", next_step=f"logs {{{','.join(known)}}}")
    print("\n".join(tail(log, lines=options.lines)))
    return 0


def _path(cluster: LocalCluster, _: argparse.Namespace) -> int:
    print(cluster.binaries_directory())
    return 0


def _tools(cluster: LocalCluster, options: argparse.Namespace) -> int:
    cluster.install_tools(kubernetes=options.kubernetes or DEFAULT_MINOR)
    return 0


def _build_kind(cluster: LocalCluster, _: argparse.Namespace) -> int:
    print(cluster.build_kind())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcluster", description="A real Kubernetes node without Docker.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Callable[[LocalCluster, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    def minor(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--kubernetes", choices=MINORS, help=f"minor version (default {DEFAULT_MINOR})")

    minor(verb("up", _up, "build what is missing and start the cluster; a healthy one is left alone"))
    verb("down", _down, "remove all that this checkout's cluster made, and nothing else")
    status = verb("status", _status, "exit 0 when healthy, with version, node and addresses")
    status.add_argument("--json", action="store_true")
    load = verb("load-image", _load_image, "load an OCI or Docker archive into the cluster")
    load.add_argument("archive", type=Path)
    load.add_argument("--name", default="", help="reference for an archive that carries none")
    verb("images", _images, "list the cluster's images")
    minor(verb("prerequisites", _prerequisites, "list what this host lacks, with the commands that provide it"))
    execute = verb("exec", _exec, "run a command in the cluster's network namespace")
    execute.add_argument("--node", action="store_true", help="enter the node's mounts and processes too")
    execute.add_argument("command", nargs="+")
    verb("kubeconfig", _kubeconfig, "print the kubeconfig's path")
    logs = verb("logs", _logs, "print the end of a component's log")
    logs.add_argument("component")
    logs.add_argument("--lines", type=int, default=100)
    verb("path", _path, "print the directory of the cluster's binaries")
    minor(verb("tools", _tools, "build kubectl and helm into .local/bin without any cluster"))
    verb("build-kind", _build_kind, "build kind into .local/bin")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
