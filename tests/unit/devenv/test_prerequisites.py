"""Everything that is missing is listed at once, and installed only where apt has it."""

from __future__ import annotations

import pytest

from devenv import prerequisites
from devenv.errors import DevenvError
from devenv.prerequisites import Missing
from unit.devenv.fake_commands import FakeCommands, failed

LISTED = """missing on this host:
  program containerd  apt-get install containerd
  device /dev/net/tun  modprobe tun
all at once:  apt-get update && apt-get install --no-install-recommends -y containerd
"""


def test_every_missing_thing_is_listed_with_its_command_and_one_for_all() -> None:
    text = prerequisites.explain(
        [
            Missing("program a", "apt-get install pa"),
            Missing("program b", "apt-get install pb pa"),
            Missing("c", "do c"),
        ]
    )
    assert "  program a  apt-get install pa" in text
    assert "  c          do c" in text
    assert text.endswith("apt-get install --yes --no-install-recommends pa pb")


def test_the_local_clusters_list_is_understood() -> None:
    assert prerequisites.parse(LISTED) == [
        Missing("program containerd", "apt-get install containerd"),
        Missing("device /dev/net/tun", "modprobe tun"),
    ]


def test_building_images_needs_two_programs_and_debians_keys() -> None:
    missing = prerequisites.for_images(lambda _: None, exists=lambda _: False)
    assert [entry.packages for entry in missing] == [("buildah",), ("mmdebstrap",), ("debian-archive-keyring",)]
    assert prerequisites.for_images(lambda name: name, exists=lambda _: True) == []


def test_installing_calls_apt_once_and_through_sudo_for_an_ordinary_user() -> None:
    commands = FakeCommands(present={"apt-get"})
    missing = [Missing("x", "apt-get install px"), Missing("y", "apt-get install py")]
    prerequisites.install(missing, commands=commands, is_root=False)
    assert commands.lines("sudo") == [
        "sudo apt-get update",
        "sudo apt-get install --yes --no-install-recommends px py",
    ]


def test_what_apt_does_not_have_is_left_to_the_person() -> None:
    with pytest.raises(DevenvError, match="modprobe tun"):
        prerequisites.install(
            [Missing("tun", "modprobe tun")], commands=FakeCommands(present={"apt-get"}), is_root=True
        )


def test_nothing_is_installed_without_apt() -> None:
    commands = FakeCommands(present=set())
    with pytest.raises(DevenvError, match="no Debian or Ubuntu"):
        prerequisites.install([Missing("x", "apt-get install px")], commands=commands, is_root=True)
    assert commands.started == []


def test_a_python_that_is_too_old_or_lacks_venv_is_passed_over() -> None:
    commands = FakeCommands(answers_to={"python3.13": failed(), "python3.12": failed()})
    assert prerequisites.find_python(commands) == "python3.11"
    assert prerequisites.find_python(FakeCommands(answers_to={"python3": failed()})) is None
