"""Verdaccio and devpi hold what the tests need, and show it to the real clients."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from registries.clients import Clients
from registries.pypi_dialects import SIMPLE
from registries.releases import NpmRelease, PypiRelease

Json = dict[str, Any]


@pytest.fixture
def npm(tmp_path: Path, verdaccio_url: str) -> Clients:
    return Clients(tmp_path, verdaccio_url)


@pytest.fixture
def pypi(tmp_path: Path, devpi_url: str) -> Clients:
    return Clients(tmp_path, devpi_url)


def lock(clients: Clients, **dependencies: str) -> Json:
    """npm's lock for these, by place below node_modules."""
    (clients.work / "package.json").write_text(json.dumps({"name": "asks", "dependencies": dependencies}))
    done = clients.npm("install", "--package-lock-only", "--no-audit")
    assert done, done.err
    packages: Json = json.loads((clients.work / "package-lock.json").read_text())["packages"]
    return {place.removeprefix("node_modules/"): entry for place, entry in packages.items() if place}


def files(url: str, project: str) -> dict[str, Json]:
    answer = httpx.get(f"{url}/{project}/", headers={"accept": SIMPLE}, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == SIMPLE
    return {entry["filename"]: entry for entry in answer.json()["files"]}


class TestVerdaccio:
    def test_every_release_is_there_with_its_digests_and_gives_the_bytes_that_it_should(
        self, verdaccio_url: str, npm_seed: tuple[NpmRelease, ...]
    ) -> None:
        with httpx.Client(trust_env=False) as http:
            for release in npm_seed:
                entry = http.get(f"{verdaccio_url}/{release.name}/{release.version}").json()
                assert entry["dist"]["integrity"] == release.dist["integrity"], release.name
                assert entry["dist"]["tarball"].startswith(f"{verdaccio_url}/")
                assert http.get(entry["dist"]["tarball"]).content == release.served

    def test_npm_views_version_time_publisher_and_deprecation(self, npm: Clients) -> None:
        seen = json.loads(npm.npm("view", "vsm-case-deprecated", "--json").out)
        assert seen["deprecated"] == "no longer maintained; use another one"
        assert seen["time"]["1.0.0"] == "2025-02-03T09:30:00.000Z"
        assert seen["maintainers"] == ["vsm-demo <vsm-demo@people.invalid>"]

    def test_npm_packs_an_honest_package_and_refuses_a_tampered_one(
        self, npm: Clients, npm_seed: tuple[NpmRelease, ...]
    ) -> None:
        assert npm.npm("pack", "@vsm-demo/notes-server@1.2.0")
        (honest,) = (r for r in npm_seed if (r.name, r.version) == ("@vsm-demo/notes-server", "1.2.0"))
        assert (npm.work / "vsm-demo-notes-server-1.2.0.tgz").read_bytes() == honest.recorded
        done = npm.npm("pack", "vsm-case-tampered")
        assert not done
        assert "EINTEGRITY" in done.err

    def test_a_harmless_tree_has_four_members_of_the_right_versions(self, npm: Clients) -> None:
        tree = lock(npm, **{"@vsm-demo/notes-server": "^1.0.0"})
        assert {place: entry["version"] for place, entry in tree.items()} == {
            "@vsm-demo/notes-server": "1.2.0",
            "vsm-demo-colour": "1.0.2",
            "vsm-demo-schema": "2.3.1",
            "vsm-demo-sdk": "1.4.0",
        }
        assert not any("hasInstallScript" in entry for entry in tree.values())

    def test_an_install_script_is_marked_in_the_lock_and_a_build_file_alone_is_not(self, npm: Clients) -> None:
        tree = lock(npm, **{"vsm-case-postinstall": "1.0.0", "vsm-case-binding-gyp": "1.0.0"})
        assert tree["vsm-case-postinstall"]["hasInstallScript"]
        assert "hasInstallScript" not in tree["vsm-case-binding-gyp"]

    def test_an_alias_hides_the_name_of_a_built_in_module(self, npm: Clients) -> None:
        assert lock(npm, **{"vsm-case-alias": "1.0.0"})["tidy-runner"]["name"] == "child_process"
        assert "child_process" in lock(npm, **{"vsm-case-builtin-name-below": "1.0.0"})

    @pytest.mark.parametrize("kind", ["git", "http", "ssh"])
    def test_a_dependency_from_elsewhere_cannot_be_resolved_here(self, npm: Clients, kind: str) -> None:
        assert not npm.npm("install", "--package-lock-only", "--no-audit", f"vsm-case-{kind}-dependency")

    def test_a_young_version_is_the_latest_until_its_age_counts(self, npm: Clients) -> None:
        seen = json.loads(npm.npm("view", "vsm-case-fresh", "--json").out)
        assert seen["version"] == "1.0.1"
        assert npm.npm("install", "--package-lock-only", "--no-audit", "--before=2025-06-01", "vsm-case-fresh")
        packages = json.loads((npm.work / "package-lock.json").read_text())["packages"]
        assert packages["node_modules/vsm-case-fresh"]["version"] == "1.0.0"

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/-/npm/v1/security/advisories/bulk"),
            ("GET", "/-/npm/v1/keys"),
            ("GET", "/-/npm/v1/attestations/vsm-case-attested@1.0.0"),
            ("GET", "/left-pad"),
            ("GET", "/@modelcontextprotocol%2fserver-filesystem"),
        ],
    )
    def test_it_has_no_advisories_no_attestations_and_no_uplink(
        self, verdaccio_url: str, method: str, path: str
    ) -> None:
        assert httpx.request(method, f"{verdaccio_url}{path}", trust_env=False).status_code == 404

    def test_nobody_can_publish(self, npm: Clients) -> None:
        package = npm.work / "mine"
        package.mkdir()
        (package / "package.json").write_text('{"name": "mine", "version": "1.0.0"}')
        assert not npm.npm("publish", str(package))

    def test_it_listens_on_loopback_only(self, verdaccio_url: str) -> None:
        assert listening_on(verdaccio_url) == {"0100007F"}


class TestDevpi:
    def test_every_release_is_there_with_its_digest_and_gives_the_bytes_that_it_should(
        self, devpi_url: str, pypi_seed: tuple[PypiRelease, ...]
    ) -> None:
        with httpx.Client(trust_env=False) as http:
            for release in pypi_seed:
                entry = files(devpi_url, release.project)[release.filename]
                assert entry["hashes"] == {"sha256": release.sha256}
                assert entry.get("yanked", "") == release.yanked
                assert http.get(urljoin(f"{devpi_url}/{release.project}/", entry["url"])).content == release.served

    def test_uv_resolves_a_harmless_tree_with_hashes(self, pypi: Clients, pypi_seed: tuple[PypiRelease, ...]) -> None:
        done = pypi.compile("vsm-demo-notes-server")
        assert done, done.err
        pinned = [line.split()[0] for line in done.out.splitlines() if "==" in line]
        assert pinned == ["vsm-demo-notes-server==1.2.0", "vsm-demo-schema==2.3.1", "vsm-demo-sdk==1.4.0"]
        (server,) = (r for r in pypi_seed if (r.project, r.version) == ("vsm-demo-notes-server", "1.2.0"))
        assert f"--hash=sha256:{server.sha256}" in done.out

    def test_a_yanked_version_is_taken_only_when_it_is_named(self, pypi: Clients) -> None:
        assert "vsm-case-yanked==1.0.0" in pypi.compile("vsm-case-yanked").out
        assert "vsm-case-yanked==1.0.1" in pypi.compile("vsm-case-yanked==1.0.1").out

    def test_pip_downloads_an_honest_wheel_and_refuses_a_tampered_one(self, pypi: Clients) -> None:
        assert pypi.download("vsm-demo-sdk==1.4.0")
        assert (pypi.work / "wheels/vsm_demo_sdk-1.4.0-py3-none-any.whl").exists()
        done = pypi.download("vsm-case-tampered")
        assert not done
        assert "DO NOT MATCH THE HASHES" in done.err

    def test_a_project_in_source_only_has_no_wheel(self, pypi: Clients) -> None:
        assert not pypi.compile("vsm-case-setup")

    @pytest.mark.parametrize("kind", ["git", "http", "file"])
    def test_a_dependency_from_elsewhere_is_refused_by_uv(self, pypi: Clients, kind: str) -> None:
        done = pypi.compile(f"vsm-case-{kind}-dependency")
        assert not done
        assert "vsm-case-helper" in done.err

    def test_a_built_in_name_is_pulled_in_from_below(self, pypi: Clients) -> None:
        assert "subprocess==1.0.0" in pypi.compile("vsm-case-builtin-name-below").out

    def test_it_tells_no_times_no_sizes_no_status_and_no_provenance(self, devpi_url: str) -> None:
        (entry,) = files(devpi_url, "vsm-case-provenance").values()
        assert sorted(entry) == ["filename", "hashes", "requires-python", "url"]
        root = devpi_url.partition("/tests/")[0]
        page = f"{root}/pypi/vsm-case-provenance/json"
        for accepted, status in (("*/*", 415), ("application/json", 404)):
            assert httpx.get(page, headers={"accept": accepted}, trust_env=False).status_code == status
        address = urljoin(f"{devpi_url}/vsm-case-provenance/", entry["url"])
        assert httpx.get(f"{address}.metadata", trust_env=False).status_code == 404

    def test_an_unknown_project_is_an_error_of_the_index_and_not_an_absence(self, devpi_url: str) -> None:
        answer = httpx.get(f"{devpi_url}/nobody-has-this/", trust_env=False)
        assert answer.status_code == 502
        assert "offline mode" in answer.text

    def test_it_listens_on_loopback_only(self, devpi_url: str) -> None:
        assert listening_on(devpi_url) == {"0100007F"}


def listening_on(url: str) -> set[str]:
    """The local addresses, as the kernel writes them, that have a listener on this port."""
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    local = [row[1].rpartition(":") for row in rows if row[3] == "0A"]
    return {address for address, _, port in local if int(port, 16) == urlsplit(url).port}
