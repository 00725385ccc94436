"""The development environment and the locks: made once, again when something changed, and by hash only."""

from __future__ import annotations

from pathlib import Path

import pytest

from devenv import locks
from devenv.checkout import Checkout
from devenv.errors import DevenvError
from devenv.locks import DEVELOPMENT, LOCKS
from devenv.venv import Environment, uv_environment, uv_requirement
from unit.devenv.fake_commands import FakeCommands, failed

LOCK = """\
typer==1 \\
    --hash=sha256:aa
uv==0.13.9 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
uvicorn==2 \\
    --hash=sha256:dd
"""


class InstallingCommands(FakeCommands):
    """An editable install leaves the console script."""

    def run(self, argv, **options):  # type: ignore[no-untyped-def]
        answer = super().run(argv, **options)
        if "--editable" in argv:
            script = Path(argv[-1]) / ".venv" / "bin" / "vsmctl"
            script.parent.mkdir(parents=True, exist_ok=True)
            script.touch()
        return answer


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "requirements-dev.lock").write_text(LOCK)
    (tmp_path / "pyproject.toml").write_text("[project]")
    return Checkout(root=tmp_path, cache=tmp_path / "cache")


def environment(checkout: Checkout, commands: FakeCommands) -> Environment:
    return Environment(checkout=checkout, commands=commands, environ={})


def test_the_environment_is_made_once(checkout: Checkout) -> None:
    assert environment(checkout, InstallingCommands()).ensure() is True
    second = InstallingCommands()
    assert environment(checkout, second).ensure() is False
    assert second.lines(str(checkout.cache)) == []


def test_everything_is_installed_by_hash_and_the_project_without_dependencies(checkout: Checkout) -> None:
    commands = InstallingCommands()
    environment(checkout, commands).ensure()
    sync, editable = [argv for argv in commands.started if argv[1:2] == ["pip"]]
    assert sync[2] == "sync"
    assert "--require-hashes" in sync
    assert {"--no-deps", "--no-build-isolation"} <= set(editable)


@pytest.mark.parametrize("file", ["requirements-dev.lock", "pyproject.toml"])
def test_a_changed_input_makes_it_again(checkout: Checkout, file: str) -> None:
    environment(checkout, InstallingCommands()).ensure()
    (checkout.root / file).write_text(LOCK + "\n# changed")
    assert environment(checkout, InstallingCommands()).ensure() is True


def test_a_half_made_environment_is_made_again(checkout: Checkout) -> None:
    class Interrupted(InstallingCommands):
        def run(self, argv, **options):  # type: ignore[no-untyped-def]
            if "sync" in argv:
                raise failed("killed")
            return super().run(argv, **options)

    environment(checkout, InstallingCommands()).ensure()
    (checkout.root / "pyproject.toml").write_text("[project] # changed")
    with pytest.raises(DevenvError, match="killed"):
        environment(checkout, Interrupted()).ensure()
    (checkout.root / "pyproject.toml").write_text("[project]")
    assert environment(checkout, InstallingCommands()).ensure() is True


def test_an_interpreter_that_is_gone_makes_it_again(checkout: Checkout) -> None:
    environment(checkout, InstallingCommands()).ensure()
    gone = InstallingCommands(answers_to={f"{checkout.venv}/bin/python": failed()})
    assert environment(checkout, gone).ensure() is True
    assert any(line.endswith(f"--without-pip {checkout.venv}") for line in gone.lines("python3"))


def test_uvs_own_entry_is_taken_from_the_lock_and_no_other() -> None:
    requirement, version = uv_requirement(LOCK)
    assert version == "0.13.9"
    assert requirement == "uv==0.13.9 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"


def test_a_lock_without_uv_is_refused() -> None:
    with pytest.raises(DevenvError, match="does not name uv"):
        uv_requirement("uvicorn==2 \\\n    --hash=sha256:dd\n")


def test_uv_is_told_the_index_that_pip_uses(tmp_path: Path) -> None:
    assert uv_environment({"PIP_INDEX_URL": "https://mirror.example/simple"})["UV_DEFAULT_INDEX"].endswith("/simple")


def test_the_images_locks_share_the_versions_of_the_development_lock() -> None:
    assert [lock.like for lock in LOCKS] == ["", DEVELOPMENT.name, DEVELOPMENT.name]
    for lock in LOCKS:
        assert {"--generate-hashes", "--universal", "--no-emit-index-url"} <= set(lock.command("uv", upgrade=False))


def test_a_lock_that_would_carry_an_address_is_refused(checkout: Checkout) -> None:
    class Leaking(FakeCommands):
        def run(self, argv, **options):  # type: ignore[no-untyped-def]
            if "compile" in argv:
                (checkout.root / DEVELOPMENT.name).write_text("--index-url https://mirror.example/simple\n")
            return ""

    commands = Leaking()
    with pytest.raises(DevenvError, match="carry an address"):
        locks.make(environment(checkout, commands), upgrade=False, commands=commands)


def test_the_committed_locks_have_hashes_and_no_addresses() -> None:
    root = Path(__file__).parents[3]
    for lock in LOCKS:
        text = (root / lock.name).read_text()
        assert "://" not in text
        assert text.count("==") <= text.count("--hash=sha256:")
