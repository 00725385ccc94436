"""Command line: `PYTHONPATH=tools python3 -m devenv VERB`. Exit 0 well, 1 not, 2 wrong usage, 130 interrupted."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from devenv import clusters, locks, prerequisites
from devenv.checkout import Checkout
from devenv.commands import HostCommands
from devenv.errors import DevenvError
from devenv.images import IMAGES
from devenv.orchestration import Devenv
from devenv.progress import Progress
from devenv.settings import Settings
from devenv.testing import lint, run_tests


def main(arguments: Sequence[str]) -> int:
    """The verb's answer as an exit code; errors are lines for a person."""
    options = _parser().parse_args(arguments)
    verb: Callable[[Devenv, argparse.Namespace], None] = options.run
    try:
        prerequisites.require_python()
        checkout = Checkout.find(os.environ)
        checkout.log.unlink(missing_ok=True)
        devenv = Devenv(
            checkout=checkout,
            settings=Settings.from_env(os.environ),
            commands=HostCommands(
                checkout.root,
                extra_path=(checkout.tools,),
                log=checkout.log,
                environment={**os.environ, **checkout.environment},
            ),
            progress=Progress(sys.stdout),
            environ=os.environ,
        )
        verb(devenv, options)
    except DevenvError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command carries on", file=sys.stderr)
        return 130
    return 0


def _up(devenv: Devenv, _: argparse.Namespace) -> None:
    devenv.up()


def _down(devenv: Devenv, _: argparse.Namespace) -> None:
    devenv.down()


def _dev(devenv: Devenv, _: argparse.Namespace) -> None:
    with devenv.progress.step("development environment") as step:
        step.outcome = "made" if devenv.environment.ensure() else "unchanged"


def _lock(devenv: Devenv, options: argparse.Namespace) -> None:
    with devenv.progress.step("lock files") as step:
        changed = locks.make(devenv.environment, upgrade=options.upgrade, commands=devenv.commands)
        step.outcome = f"changed: {', '.join(changed)}" if changed else "unchanged"


def _images(devenv: Devenv, _: argparse.Namespace) -> None:
    builder = clusters.local_builder(
        devenv.checkout, settings=devenv.settings, commands=devenv.commands, environ=devenv.environ
    )
    for source in IMAGES:
        with devenv.progress.step(f"image {source.name}") as step:
            image, built = builder.build(source)
            step.outcome = "built" if built else "unchanged"
        print(f"{image.reference}  {image.archive}")


def _prerequisites(devenv: Devenv, _: argparse.Namespace) -> None:
    devenv.install_prerequisites()


def _lint(devenv: Devenv, _: argparse.Namespace) -> None:
    lint(devenv)


def _test(devenv: Devenv, options: argparse.Namespace) -> None:
    run_tests(devenv, pytest_arguments=options.pytest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devenv", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Callable[[Devenv, argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    verb("up", _up, "a cluster with the operator and a first server on it")
    verb("down", _down, "remove what this checkout has made")
    verb("dev", _dev, "the development environment .venv")
    verb("lock", _lock, "make the lock files again").add_argument("--upgrade", action="store_true")
    verb("lint", _lint, "all static checks")
    verb("images", _images, "build both images as OCI archives, without an engine")
    verb("prerequisites", _prerequisites, "install what is missing on this machine")
    verb("test", _test, "set up what the tests need, and run all of them").add_argument("pytest", nargs="*")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
