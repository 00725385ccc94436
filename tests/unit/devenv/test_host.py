"""What the machine's network asks of downloads is found, and nothing that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from devenv import host

TARGETS = """\
http://mirror.example/debian/ bookworm main Debian
http://mirror.example/debian/ bookworm contrib Debian
http://mirror.example/debian/ bookworm-updates main Debian
http://mirror.example/debian-security/ bookworm-security main Debian
http://packages.example/tool bookworm main Tool
"""


def test_debian_lines_of_the_host_are_used_and_third_parties_are_not() -> None:
    assert host.debian_sources(TARGETS, suite="bookworm") == [
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian/ bookworm-updates main",
        "deb http://mirror.example/debian-security/ bookworm-security main",
    ]


def test_a_host_of_another_suite_or_without_release_files_gives_no_lines() -> None:
    assert host.debian_sources(TARGETS, suite="trixie") == []
    assert host.debian_sources("$(REPO_URI) x", suite="bookworm") == []
    assert host.debian_sources("http://m.example/ bookworm-updates main Debian", suite="bookworm") == []


def test_proxies_of_apt_are_handed_on_and_nothing_else() -> None:
    dump = 'Acquire::http::Proxy "http://p:1";\nAcquire::Languages "";\nAcquire::https::Proxy "http://p:2";\nDir "/";\n'
    assert host.apt_proxy_options(dump) == ['Acquire::http::Proxy "http://p:1"', 'Acquire::https::Proxy "http://p:2"']


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    file = tmp_path / "bundle.pem"
    file.write_text("certificates")
    return file


def test_without_a_companys_ca_no_bundle_is_named(tmp_path: Path, bundle: Path) -> None:
    assert host.ca_bundle({}, system=bundle, local=tmp_path / "absent") is None
    assert host.ca_bundle({"SSL_CERT_FILE": str(tmp_path / "gone")}, system=bundle, local=tmp_path / "absent") is None


def test_our_own_variable_goes_before_the_usual_ones(tmp_path: Path, bundle: Path) -> None:
    other = tmp_path / "other.pem"
    other.touch()
    environ = {"SSL_CERT_FILE": str(other), "VSM_CA_BUNDLE": str(bundle)}
    assert host.ca_bundle(environ, system=other, local=tmp_path) == bundle


def test_a_ca_added_in_debians_way_means_the_systems_bundle(tmp_path: Path, bundle: Path) -> None:
    local = tmp_path / "local" / "company"
    local.mkdir(parents=True)
    (local / "root.crt").touch()
    assert host.ca_bundle({}, system=bundle, local=tmp_path / "local") == bundle


def test_the_package_index_is_taken_from_uv_before_pip() -> None:
    assert host.package_index({}) is None
    assert host.package_index({"PIP_INDEX_URL": "p", "UV_DEFAULT_INDEX": "u"}) == "u"
