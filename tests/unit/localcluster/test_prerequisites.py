from pathlib import Path

from localcluster.prerequisites import CNI_PLUGINS, PACKAGE_OF, Missing, cni_directory, explain, programs_missing


def test_all_missing_programs_are_named_at_once_with_their_packages() -> None:
    found = programs_missing(lambda _: None)

    assert [entry.what for entry in found] == [f"program {program}" for program in PACKAGE_OF]
    assert Missing("program ip", "apt-get install iproute2") in found


def test_a_host_with_everything_misses_nothing() -> None:
    assert programs_missing(lambda program: f"/usr/bin/{program}") == []


def test_the_explanation_has_a_line_each_and_one_command_for_all_packages() -> None:
    text = explain(
        [
            Missing("program ctr", "apt-get install containerd"),
            Missing("program containerd", "apt-get install containerd"),
            Missing("program ip", "apt-get install iproute2"),
            Missing("device /dev/net/tun", "modprobe tun"),
        ]
    )

    lines = text.splitlines()
    assert lines[1] == "  program ctr          apt-get install containerd"
    assert "modprobe tun" in lines[4]
    assert lines[5] == (
        "all at once:  apt-get update && apt-get install --no-install-recommends -y containerd iproute2"
    )


def test_there_is_no_apt_command_when_apt_cannot_help() -> None:
    assert "all at once" not in explain([Missing("device /dev/net/tun", "modprobe tun")])


def test_a_plugin_directory_counts_only_with_every_plugin(tmp_path: Path) -> None:
    partial, full = tmp_path / "partial", tmp_path / "full"
    for directory, plugins in ((partial, CNI_PLUGINS[:-1]), (full, CNI_PLUGINS)):
        directory.mkdir()
        for plugin in plugins:
            (directory / plugin).touch()

    assert cni_directory([partial]) is None
    assert cni_directory([tmp_path / "absent", partial, full]) == full
