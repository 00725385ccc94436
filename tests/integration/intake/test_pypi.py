import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.intake.conftest import Intake
from integration.intake.test_npm import facts, files
from unit.intake.kit import record_hash, wheel
from vsm_operator.domain.intake import IntakeReason

PYPI = "pypi"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    directory = tmp_path / "wheels"
    directory.mkdir()
    return directory


def publish_server(intake: Intake, wheels: Path, **more: Any) -> None:
    """A server that needs two projects, one of them through the other."""
    source = b"import inner_thing\ndef main():\n    print('answer', inner_thing.VALUE)\n"
    intake.pypi.publish(
        wheel(
            wheels,
            name="demo-server",
            files={"demo_server/__init__.py": source},
            scripts={"demo-server": "demo_server:main"},
            requires=["middle>=1"],
        ),
        **more,
    )
    intake.pypi.publish(wheel(wheels, name="middle", requires=["Inner.Thing"]))
    intake.pypi.publish(wheel(wheels, name="inner-thing", version="2.0", files={"inner_thing.py": b"VALUE = 42\n"}))


def test_a_tree_becomes_a_bundle_that_runs_with_the_base_interpreter(intake: Intake, wheels: Path) -> None:
    publish_server(intake, wheels)
    done = intake.success("demo-server", "1.0", ecosystem=PYPI)
    assert (done.packages, done.lifecycle_scripts, done.entrypoints) == (3, 0, ("demo-server",))
    assert (done.license, done.integrity[:7]) == ("MIT", "sha256:")
    top = intake.load(done.digest)
    python = Path(os.path.realpath(sys.executable)).parent
    env = {"PATH": f"{top / 'bin'}:{python}:/usr/bin:/bin", "PYTHONPATH": str(top / "site-packages")}
    ran = subprocess.run(["demo-server"], env=env, capture_output=True, text=True, check=False)
    assert ran.stdout == "answer 42\n", ran.stderr
    lock = files(top)["vsm/requirements.lock"].decode()
    assert [line.split(" --hash=sha256:")[0] for line in lock.splitlines()] == [
        "demo-server==1.0",
        "inner-thing==2.0",
        "middle==1.0",
    ]


def test_the_bundle_holds_no_bytecode_and_no_mark_of_an_installer(intake: Intake, wheels: Path) -> None:
    publish_server(intake, wheels)
    tree = files(intake.load(intake.success("demo-server", "1.0", ecosystem=PYPI).digest))
    assert not [name for name in tree if name.endswith((".pyc", "/INSTALLER", "/direct_url.json", "/REQUESTED"))]


def test_a_name_in_another_spelling_is_the_same_project(intake: Intake, wheels: Path) -> None:
    publish_server(intake, wheels)
    done = intake.success("Demo_Server", "1.0", ecosystem=PYPI)
    assert done.entrypoints == ("demo-server",)


def test_the_same_package_is_the_same_bundle_whatever_the_scratch_directory_and_the_umask(
    intake: Intake, wheels: Path
) -> None:
    publish_server(intake, wheels)
    first = intake.success("demo-server", "1.0", ecosystem=PYPI, key="1" * 32)
    second = intake.success("demo-server", "1.0", ecosystem=PYPI, key="2" * 32, scratch="elsewhere", umask=0o077)
    assert not second.cached
    assert second.digest == first.digest


def test_a_mirror_that_speaks_html_gives_the_same_bundle(make_intake: Callable[..., Intake], wheels: Path) -> None:
    digests = []
    for number, mirror in enumerate((False, True)):
        intake = make_intake(mirror=mirror)
        publish_server(intake, wheels)
        digests.append(intake.success("demo-server", "1.0", ecosystem=PYPI, key=str(number) * 32).digest)
    assert digests[0] == digests[1]


def test_a_second_request_for_a_stored_bundle_asks_no_index(intake: Intake, wheels: Path) -> None:
    publish_server(intake, wheels)
    first = intake.success("demo-server", "1.0", ecosystem=PYPI)
    intake.pypi.asked.clear()
    second = intake.success("demo-server", "1.0", ecosystem=PYPI)
    assert (second.cached, second.digest) == (True, first.digest)
    assert intake.pypi.asked == []


def test_facts_count_path_hooks_and_keep_why_a_version_was_yanked(intake: Intake, wheels: Path) -> None:
    content = {"hooked.py": b"", "hooked.pth": b"import hooked"}
    intake.pypi.publish(wheel(wheels, name="hooked", files=content), yanked="leaks memory")
    found = facts(intake, intake.success("hooked", "1.0", ecosystem=PYPI).digest)
    (package,) = found["packages"]
    assert (package["path_hooks"], package["withdrawn"]) == (1, "leaks memory")
    assert found["platform"].startswith(f"cp3{sys.version_info.minor}/")


def test_a_project_without_a_console_script_has_no_entry_points(intake: Intake, wheels: Path) -> None:
    intake.pypi.publish(wheel(wheels, name="library"))
    assert intake.success("library", "1.0", ecosystem=PYPI).entrypoints == ()


def test_an_unknown_project_and_an_unknown_version_are_told_apart(intake: Intake, wheels: Path) -> None:
    assert intake.failure("nobody-has-this", "1.0", ecosystem=PYPI).reason is IntakeReason.UNKNOWN_PACKAGE
    intake.pypi.publish(wheel(wheels, name="library", version="1.2"))
    failure = intake.failure("library", "1.1", ecosystem=PYPI)
    assert failure.reason is IntakeReason.NO_SUCH_VERSION
    assert "newest is 1.2" in failure.message


def sdist(wheels: Path, name: str) -> Path:
    path = wheels / f"{name}-1.0.tar.gz"
    path.write_bytes(b"a source distribution that would run setup.py")
    return path


def test_a_source_distribution_is_no_wheel(intake: Intake, wheels: Path) -> None:
    intake.pypi.publish(sdist(wheels, "library"))
    failure = intake.failure("library", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.NO_WHEEL
    assert "source only" in failure.message


def test_a_dependency_that_is_source_only_is_no_wheel_and_named(intake: Intake, wheels: Path) -> None:
    intake.pypi.publish(wheel(wheels, name="demo-server", requires=["native"]))
    intake.pypi.publish(sdist(wheels, "native"))
    failure = intake.failure("demo-server", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.NO_WHEEL
    assert "native" in failure.message


def test_a_wheel_for_another_system_is_no_wheel(intake: Intake, wheels: Path) -> None:
    intake.pypi.publish(wheel(wheels, name="library", tag="cp311-cp311-win_amd64"))
    failure = intake.failure("library", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.NO_WHEEL
    assert "win_amd64" in failure.message


def test_demands_that_contradict_each_other_fail_with_uvs_words(intake: Intake, wheels: Path) -> None:
    intake.pypi.publish(wheel(wheels, name="demo-server", requires=["a", "b"]))
    intake.pypi.publish(wheel(wheels, name="a", requires=["shared==1.0"]))
    intake.pypi.publish(wheel(wheels, name="b", requires=["shared==2.0"]))
    for version in ("1.0", "2.0"):
        intake.pypi.publish(wheel(wheels, name="shared", version=version))
    failure = intake.failure("demo-server", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.RESOLUTION_FAILED
    assert "shared" in failure.message


@pytest.mark.parametrize(
    "requirement",
    [
        "evil @ https://127.0.0.1:1/evil-1.0-py3-none-any.whl",
        "evil @ git+https://127.0.0.1:1/evil",
        "evil @ file:///evil",
    ],
)
def test_a_dependency_from_outside_the_index_is_refused(intake: Intake, wheels: Path, requirement: str) -> None:
    intake.pypi.publish(wheel(wheels, name="demo-server", requires=["middle"]))
    intake.pypi.publish(wheel(wheels, name="middle", requires=[requirement]))
    failure = intake.failure("demo-server", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE
    assert "evil" in failure.message


@pytest.mark.parametrize("status", [500, 503])
def test_an_index_that_fails_is_unreachable_and_worth_another_try(intake: Intake, status: int) -> None:
    intake.pypi.failing = status
    failure = intake.failure("library", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.REGISTRY_UNREACHABLE
    assert str(status) in failure.message


def test_an_index_that_does_not_listen_is_unreachable(intake: Intake) -> None:
    failure = intake.failure("library", "1.0", ecosystem=PYPI, VSM_PYPI_INDEX="http://user:hunter2@127.0.0.1:1/simple")
    assert failure.reason is IntakeReason.REGISTRY_UNREACHABLE
    assert "hunter2" not in failure.message + intake.log


@pytest.mark.parametrize("mirror", [False, True])
def test_an_index_without_hashes_is_a_missing_integrity(
    make_intake: Callable[..., Intake], wheels: Path, mirror: bool
) -> None:
    intake = make_intake(mirror=mirror)
    intake.pypi.publish(wheel(wheels, name="library"), hashes={})
    assert intake.failure("library", "1.0", ecosystem=PYPI).reason is IntakeReason.MISSING_INTEGRITY


def test_a_wheel_that_is_not_the_listed_one_is_an_integrity_mismatch(intake: Intake, wheels: Path) -> None:
    publish_server(intake, wheels)
    other = wheel(wheels, name="inner-thing", version="2.0", files={"inner_thing.py": b"VALUE = 666\n"})
    intake.pypi.contents[f"/files/{other.name}"] = other.read_bytes()
    failure = intake.failure("demo-server", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.INTEGRITY_MISMATCH
    assert "inner" in failure.message


def test_a_wheel_whose_record_does_not_vouch_for_a_file_is_an_integrity_mismatch(intake: Intake, wheels: Path) -> None:
    intake.pypi.publish(wheel(wheels, name="demo-server", requires=["evil"]))
    intake.pypi.publish(wheel(wheels, name="evil", record={"evil/__init__.py": record_hash(b"something else")}))
    failure = intake.failure("demo-server", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.INTEGRITY_MISMATCH
    assert "demo-server 1.0 → evil 1.0" in failure.message
    assert "evil/__init__.py" in failure.message


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("more", "named"),
    [
        pytest.param({"extra": [(member("../../evil.py"), b"x")]}, "../../evil.py", id="parent directory"),
        pytest.param({"extra": [(member("/evil.py"), b"x")]}, "/evil.py", id="absolute path"),
        pytest.param({"extra": [(member("evil/link", 0o120777), b"/etc")]}, "symbolic link", id="symlink"),
        pytest.param({"files": {"evil/zeros": b"\0" * 40_000_000}}, "bomb", id="bomb"),
    ],
)
def test_an_unsafe_wheel_is_refused_naming_package_and_entry(
    intake: Intake, wheels: Path, more: dict[str, Any], named: str
) -> None:
    intake.pypi.publish(wheel(wheels, name="demo-server", requires=["evil"]))
    intake.pypi.publish(wheel(wheels, name="evil", **more))
    failure = intake.failure("demo-server", "1.0", ecosystem=PYPI)
    assert failure.reason is IntakeReason.UNSAFE_ARCHIVE
    assert "evil 1.0" in failure.message
    assert named in failure.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VSM_INTAKE_MAX_UNPACKED_BYTES", "2000"),
        ("VSM_INTAKE_MAX_PACKAGES", "2"),
        ("VSM_INTAKE_MAX_FILES", "9"),
    ],
)
def test_a_tree_beyond_the_bounds_is_too_large(intake: Intake, wheels: Path, name: str, value: str) -> None:
    publish_server(intake, wheels)
    failure = intake.failure("demo-server", "1.0", ecosystem=PYPI, **{name: value})
    assert failure.reason is IntakeReason.BUNDLE_TOO_LARGE
