from pathlib import Path

import pytest

from localcluster import cgroups
from localcluster.cgroups import Hierarchies, detect
from localcluster.errors import PrerequisiteError

LEGACY = """\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
34 30 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
"""
UNIFIED_BESIDE = "35 30 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
UNIFIED_ONLY = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_1_is_tracked_in_the_pids_hierarchy() -> None:
    found = detect(LEGACY)

    assert found.tracking == Path("/sys/fs/cgroup/pids")
    assert not found.unified
    assert len(found.mounts) == 4


def test_a_hybrid_host_counts_as_version_1_and_is_cleaned_in_both() -> None:
    found = detect(LEGACY + UNIFIED_BESIDE)

    assert not found.unified
    assert found.tracking == Path("/sys/fs/cgroup/pids")
    assert Path("/sys/fs/cgroup/unified") in found.mounts


def test_version_2_alone_is_the_one_hierarchy() -> None:
    root = Path("/sys/fs/cgroup")

    assert detect(UNIFIED_ONLY) == Hierarchies(mounts=(root,), tracking=root, unified=True)


def test_a_host_without_pids_is_tracked_elsewhere() -> None:
    found = detect("".join(line for line in LEGACY.splitlines(keepends=True) if "pids" not in line))

    assert found.tracking == Path("/sys/fs/cgroup/cpu,cpuacct")


@pytest.mark.parametrize(
    "mountinfo",
    [
        pytest.param("", id="nothing mounted"),
        pytest.param("34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n", id="no controller"),
    ],
)
def test_a_host_without_a_usable_hierarchy_is_told_so(mountinfo: str) -> None:
    with pytest.raises(PrerequisiteError):
        detect(mountinfo)


def hierarchies(root: Path, *, unified: bool) -> Hierarchies:
    return Hierarchies(mounts=(root,), tracking=root, unified=unified)


def test_a_new_cpuset_group_gets_its_parents_processors(tmp_path: Path) -> None:
    group = tmp_path / "ours"
    group.mkdir()
    for name, value in (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")):
        (tmp_path / name).write_text(value)
        (group / name).write_text("\n")

    cgroups.prepare(hierarchies(tmp_path, unified=False), parent="ours")

    assert (group / "cpuset.cpus").read_text() == "0-1"
    assert (group / "cpuset.mems").read_text() == "0"


def test_a_version_2_root_that_lends_no_controllers_is_refused(tmp_path: Path) -> None:
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("cpu")
    control.chmod(0o400)

    with pytest.raises(PrerequisiteError, match="memory, pids"):
        # A plain file takes what is written where the kernel would add: it never holds all three.
        cgroups.prepare(hierarchies(tmp_path, unified=True), parent="ours")


def test_members_are_found_at_every_depth_and_in_no_vanished_group(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "a" / "cgroup.procs").write_text("12\n13\n")
    (tmp_path / "a" / "b" / "cgroup.procs").write_text("14\n0\n")  # 0: a process of another namespace

    assert sorted(cgroups.members(tmp_path)) == [12, 13, 14]
    assert cgroups.members(tmp_path / "gone") == []


def test_removal_takes_the_whole_tree_and_names_what_resists(tmp_path: Path) -> None:
    (tmp_path / "ours" / "pods" / "one").mkdir(parents=True)
    assert cgroups.remove(hierarchies(tmp_path, unified=False), parent="ours") == []
    assert not (tmp_path / "ours").exists()

    busy = tmp_path / "ours" / "pods"
    busy.mkdir(parents=True)
    (busy / "in-the-way").touch()
    assert cgroups.remove(hierarchies(tmp_path, unified=False), parent="ours", timeout_seconds=0) == [tmp_path / "ours"]
