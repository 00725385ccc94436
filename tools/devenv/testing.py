"""`make test`: everything that this repository claims, on a cluster that is set up for it."""

from __future__ import annotations

from collections.abc import Sequence

from devenv.orchestration import Devenv

_TESTS_TIMEOUT_SECONDS = 5400.0
# Named, since .local holds the file systems of whole containers.
SOURCES = ("bench", "operator", "runtime", "tests", "tools")
LINT: Sequence[tuple[str, ...]] = (
    ("ruff", "check", *SOURCES),
    ("ruff", "format", "--check", *SOURCES),
    ("mypy", "operator", "runtime", "tools"),
    ("lint-imports",),
)


def lint(devenv: Devenv) -> None:
    """All static checks; each is a step."""
    for argv in LINT:
        with devenv.progress.step(" ".join(argv[:2])):
            program = devenv.checkout.venv / "bin" / argv[0]
            devenv.commands.run([str(program), *argv[1:]], timeout_seconds=600)


# What needs no cluster shares the cores; what shares the cluster, or watches what grows, takes turns.
TIERS: Sequence[tuple[str, ...]] = (
    ("--numprocesses", "auto", "tests/unit", "tests/integration", "tests/registries", "tests/conformance"),
    ("tests/soak", "tests/chart", "tests/apiserver", "tests/e2e"),
)


def run_tests(devenv: Devenv, *, pytest_arguments: Sequence[str]) -> None:
    """Static checks, since they fail fastest, then the operator on a cluster, then every tier, or what is asked for."""
    chosen = devenv.prepare()
    lint(devenv)
    devenv.install(chosen)
    for arguments in (tuple(pytest_arguments),) if pytest_arguments else TIERS:
        devenv.commands.show(
            [str(devenv.environment.python), "-m", "pytest", *arguments],
            # VSM_E2E: a test that needs the cluster and does not find it fails, where it would otherwise be skipped.
            environment={"KUBECONFIG": str(devenv.checkout.kubeconfig), "VSM_E2E": "1"},
            timeout_seconds=_TESTS_TIMEOUT_SECONDS,
        )
