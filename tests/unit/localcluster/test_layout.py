from pathlib import Path

from localcluster.layout import Layout


def layout(checkout: Path, **environ: str) -> Layout:
    return Layout.of(checkout, {"HOME": "/home/someone", **environ})


def test_two_checkouts_share_no_name_but_the_cache(tmp_path: Path) -> None:
    one, two = layout(tmp_path / "one"), layout(tmp_path / "two")

    for name in (
        "identity",
        "state",
        "runtime",
        "containerd_socket",
        "cgroup",
        "host_link",
        "context",
        "kubeconfig",
        "lock",
    ):
        assert getattr(one, name) != getattr(two, name)
    assert one.cache == two.cache


def test_a_checkout_keeps_its_names_when_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert layout(tmp_path / "link") == layout(tmp_path / "real")


def test_names_stay_within_the_kernels_limits_however_deep_the_checkout_is() -> None:
    deep = layout(Path("/" + "/".join(["a-long-directory-name"] * 20)))

    assert len(deep.host_link) <= 15
    assert len(f"{deep.containerd_socket}.ttrpc") <= 107


def test_the_cache_follows_xdg_when_it_is_set(tmp_path: Path) -> None:
    assert layout(tmp_path).cache == Path("/home/someone/.cache/vsm-operator/localcluster")
    assert layout(tmp_path, XDG_CACHE_HOME="/elsewhere").cache == Path("/elsewhere/vsm-operator/localcluster")
