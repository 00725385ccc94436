from pathlib import Path

from localcluster.teardown import mounts_below

MOUNTINFO = """\
21 1 254:0 / / rw - ext4 /dev/vda rw
40 21 0:40 / /co/.local/cluster/var-lib/kubelet/pods/x rw - tmpfs tmpfs rw
41 40 0:41 / /co/.local/cluster/var-lib/kubelet/pods/x/with\\040space rw - tmpfs tmpfs rw
42 21 0:42 / /co/.local/cluster-of-somebody-else rw - tmpfs tmpfs rw
43 21 0:43 / /co/.local rw - tmpfs tmpfs rw
"""


def test_mounts_are_listed_innermost_first_and_only_below_the_directory() -> None:
    assert mounts_below(Path("/co/.local/cluster"), MOUNTINFO) == [
        "/co/.local/cluster/var-lib/kubelet/pods/x/with space",
        "/co/.local/cluster/var-lib/kubelet/pods/x",
    ]
