"""The loopback registries speak as the public ones do, and as a read-only mirror does."""

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registries.advisories import NPM_ADVISORY, PYPI_ADVISORY
from registries.clients import Clients
from registries.loopback import Answer
from registries.npm_dialects import ABBREVIATED, NpmRegistry
from registries.pypi_dialects import SIMPLE, PypiIndex
from registries.releases import FORK_REPOSITORY, LONG_AGO

BULK = "/-/npm/v1/security/advisories/bulk"


def ask(origin: str, method: str, path: str, **more: Any) -> httpx.Response:
    return httpx.request(method, f"{origin}{path}", trust_env=False, **more)


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("GET", "/-/ping", (200, 200)),
        ("GET", "/vsm-case-deprecated", (200, 200)),
        ("HEAD", "/vsm-case-deprecated", (200, 200)),
        ("GET", "/@vsm-demo%2fnotes-server", (200, 200)),
        ("GET", "/@vsm-demo/notes-server/1.1.0", (200, 200)),
        ("GET", "/vsm-case-fresh/latest", (200, 200)),
        ("GET", "/-/package/@vsm-demo%2fnotes-server/dist-tags", (200, 200)),
        ("GET", "/nobody-has-this", (404, 404)),
        ("GET", "/vsm-case-fresh/9.9.9", (404, 404)),
        ("POST", BULK, (200, 405)),
        ("POST", "/-/npm/v1/security/audits/quick", (410, 405)),
        ("GET", "/-/npm/v1/attestations/vsm-case-attested@1.0.0", (200, 404)),
        ("GET", "/-/npm/v1/attestations/vsm-case-deprecated@1.0.0", (404, 404)),
        ("GET", "/-/npm/v1/keys", (200, 404)),
        ("GET", "/-/v1/search?text=notes&size=1", (200, 404)),
    ],
)
def test_npm_endpoints(
    full_npm: NpmRegistry, stripped_npm: NpmRegistry, method: str, path: str, statuses: tuple[int, int]
) -> None:
    body: dict[str, str] | None = {} if method == "POST" else None
    answer = ask(stripped_npm.url, method, path, json=body)
    assert (ask(full_npm.url, method, path, json=body).status_code, answer.status_code) == statuses
    assert answer.status_code != 405 or answer.headers["allow"] == "GET, HEAD"
    assert answer.status_code == 200 or answer.content == b""


@pytest.mark.parametrize(
    ("path", "full", "stripped"),
    [
        ("/simple/vsm-case-yanked/", 200, 200),
        ("/simple/nobody-has-this/", 404, 404),
        ("/pypi/vsm-case-yanked/json", 200, 200),
        ("/pypi/vsm-case-yanked/1.0.0/json", 200, 404),
        ("/integrity/vsm-case-attested/1.0.0/vsm_case_attested-1.0.0-py3-none-any.whl/provenance", 200, 404),
        ("/integrity/vsm-case-yanked/1.0.0/vsm_case_yanked-1.0.0-py3-none-any.whl/provenance", 404, 404),
    ],
)
def test_pypi_endpoints(full_pypi: PypiIndex, stripped_pypi: PypiIndex, path: str, full: int, stripped: int) -> None:
    assert ask(full_pypi.server.origin, "GET", path).status_code == full
    assert ask(stripped_pypi.server.origin, "GET", path).status_code == stripped


class TestNpm:
    def test_a_mirror_keeps_five_keys_of_a_package_three_of_its_archive_and_its_scripts(
        self, stripped_npm: NpmRegistry
    ) -> None:
        document = ask(stripped_npm.url, "GET", "/vsm-case-postinstall").json()
        assert sorted(document) == ["_id", "dist-tags", "name", "time", "versions"]
        entry = document["versions"]["1.0.0"]
        assert sorted(entry["dist"]) == ["integrity", "shasum", "tarball"]
        assert entry["scripts"]["postinstall"] == "node fetch.js"
        assert not {"_npmUser", "maintainers", "hasInstallScript"} & set(entry)

    def test_deprecation_is_told_by_the_whole_registry_only(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry
    ) -> None:
        path = "/vsm-case-deprecated/1.0.0"
        assert ask(full_npm.url, "GET", path).json()["deprecated"].startswith("no longer")
        assert "deprecated" not in ask(stripped_npm.url, "GET", path).json()

    def test_a_mirrors_times_are_later_than_the_true_ones_and_never_in_the_future(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry, now: datetime
    ) -> None:
        whole, less = (ask(each.url, "GET", "/vsm-case-fresh").json()["time"] for each in (full_npm, stripped_npm))
        assert sorted(whole) == ["1.0.0", "1.0.1", "created", "modified"]
        assert sorted(less) == ["1.0.0", "1.0.1"]
        moments = {name: datetime.fromisoformat(text) for name, text in less.items()}
        assert datetime.fromisoformat(whole["1.0.0"]) == LONG_AGO < moments["1.0.0"]
        assert now - datetime.fromisoformat(whole["1.0.1"]) == timedelta(hours=2)
        assert moments["1.0.1"] == now

    def test_a_mirror_ignores_the_wish_for_a_short_document_and_gives_no_etag(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry
    ) -> None:
        short = {"accept": ABBREVIATED}
        answers = [ask(stripped_npm.url, "GET", "/vsm-case-fresh", headers=headers) for headers in ({}, short)]
        assert answers[0].content == answers[1].content
        assert "etag" not in answers[0].headers
        abbreviated = ask(full_npm.url, "GET", "/vsm-case-postinstall", headers=short)
        assert abbreviated.headers["content-type"] == ABBREVIATED
        assert "etag" in abbreviated.headers
        assert abbreviated.json()["versions"]["1.0.0"]["hasInstallScript"]

    def test_advisories_cover_the_vulnerable_version_and_not_the_patched_one(self, full_npm: NpmRegistry) -> None:
        hit = ask(full_npm.url, "POST", BULK, json={"vsm-demo-parser": ["1.2.0"], "vsm-demo-sdk": ["1.4.0"]}).json()
        assert [row["url"].rpartition("/")[2] for row in hit.pop("vsm-demo-parser")] == [NPM_ADVISORY]
        assert hit == {}
        assert ask(full_npm.url, "POST", BULK, json={"vsm-demo-parser": ["1.2.5"]}).json() == {}

    def test_an_attestation_can_name_another_repository_than_the_package_does(self, full_npm: NpmRegistry) -> None:
        entry = ask(full_npm.url, "GET", "/vsm-case-provenance/1.0.0").json()
        answer = httpx.get(entry["dist"]["attestations"]["url"], trust_env=False).json()
        bundle = answer["attestations"][0]["bundle"]
        statement = decoded(bundle["dsseEnvelope"]["payload"])
        parameters = statement["predicate"]["buildDefinition"]["externalParameters"]
        assert parameters["workflow"]["repository"] == FORK_REPOSITORY
        assert FORK_REPOSITORY not in entry["repository"]["url"]

    def test_provenance_that_earlier_versions_had_is_missing_in_the_later_one(self, full_npm: NpmRegistry) -> None:
        versions = ask(full_npm.url, "GET", "/vsm-case-provenance-regression").json()["versions"]
        assert [("attestations" in entry["dist"]) for entry in versions.values()] == [True, False]

    def test_npm_audits_the_whole_registry_and_fails_on_a_mirror(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry, tmp_path: Path
    ) -> None:
        found = [audit(Clients(fresh(tmp_path, each.url), each.url)) for each in (full_npm, stripped_npm)]
        assert found[0]["vulnerabilities"]["vsm-demo-parser"]["severity"] == "critical"
        assert "vulnerabilities" not in found[1]

    def test_the_whole_registrys_signatures_are_those_of_its_key(
        self, full_npm: NpmRegistry, stripped_npm: NpmRegistry
    ) -> None:
        """Not asked of `npm audit signatures`, which wants to reach a public service before it reads these keys."""
        (key,) = ask(full_npm.url, "GET", "/-/npm/v1/keys").json()["keys"]
        dist = ask(full_npm.url, "GET", "/vsm-demo-sdk/1.4.0").json()["dist"]
        (signature,) = dist["signatures"]
        assert signature["keyid"] == key["keyid"]
        public = serialization.load_der_public_key(base64.b64decode(key["key"]))
        assert isinstance(public, ec.EllipticCurvePublicKey)
        signed = f"vsm-demo-sdk@1.4.0:{dist['integrity']}".encode()
        public.verify(base64.b64decode(signature["sig"]), signed, ec.ECDSA(hashes.SHA256()))
        assert "signatures" not in ask(stripped_npm.url, "GET", "/vsm-demo-sdk/1.4.0").json()["dist"]

    @pytest.mark.parametrize("dialect", ["full_npm", "stripped_npm"])
    def test_npm_refuses_tampered_archives_in_both(
        self, dialect: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        registry: NpmRegistry = request.getfixturevalue(dialect)
        clients = Clients(tmp_path, registry.url)
        assert clients.npm("pack", "vsm-demo-sdk")
        assert "EINTEGRITY" in clients.npm("pack", "vsm-case-tampered").err

    def test_requests_are_remembered_and_failures_can_be_ordered(self, stripped_npm: NpmRegistry) -> None:
        ask(stripped_npm.url, "GET", "/-/ping?x=1")
        stripped_npm.server.failing = 503
        assert ask(stripped_npm.url, "GET", "/vsm-demo-sdk").status_code == 503
        assert stripped_npm.server.asked == ["GET /-/ping", "GET /vsm-demo-sdk"]

    def test_trouble_can_be_made_for_some_requests_only(self, full_npm: NpmRegistry) -> None:
        full_npm.server.trouble = lambda request: Answer(body=b"{") if request.line == f"POST {BULK}" else None
        assert ask(full_npm.url, "POST", BULK, json={}).content == b"{"
        assert ask(full_npm.url, "GET", "/vsm-demo-sdk").json()["name"] == "vsm-demo-sdk"


class TestPypi:
    def test_a_mirror_gives_addresses_that_are_relative_to_the_document(self, stripped_pypi: PypiIndex) -> None:
        page = f"{stripped_pypi.server.origin}/pypi/vsm-demo-sdk/json"
        (entry,) = httpx.get(page, trust_env=False).json()["urls"]
        assert entry["url"].startswith("../../packages/")
        assert httpx.get(urljoin(page, entry["url"]), trust_env=False).status_code == 200

    def test_a_mirror_knows_yanked_and_times_and_no_metadata_provenance_or_status(
        self, full_pypi: PypiIndex, stripped_pypi: PypiIndex
    ) -> None:
        whole, less = (simple(each, "vsm-case-quarantined") for each in (full_pypi, stripped_pypi))
        assert (whole["meta"], less["meta"]) == ({"api-version": "1.4"}, {"api-version": "1.1"})
        assert whole["project-status"] == {"status": "quarantined"}
        assert "project-status" not in less
        assert set(whole["files"][0]) - set(less["files"][0]) == {"core-metadata", "provenance"}
        yanked = {entry["filename"]: entry["yanked"] for entry in simple(stripped_pypi, "vsm-case-yanked")["files"]}
        assert list(yanked.values()) == [False, "sends what it should keep"]

    def test_metadata_beside_a_wheel_is_the_whole_indexs_only(
        self, full_pypi: PypiIndex, stripped_pypi: PypiIndex
    ) -> None:
        statuses = []
        for each in (full_pypi, stripped_pypi):
            address = urljoin(f"{each.url}/vsm-demo-sdk/", simple(each, "vsm-demo-sdk")["files"][0]["url"])
            statuses.append(httpx.get(f"{address}.metadata", trust_env=False).status_code)
        assert statuses == [200, 404]

    def test_vulnerabilities_of_an_older_version_are_told_by_the_whole_index_only(
        self, full_pypi: PypiIndex, stripped_pypi: PypiIndex
    ) -> None:
        old = ask(full_pypi.server.origin, "GET", "/pypi/vsm-demo-parser/1.2.0/json").json()
        assert [row["id"] for row in old["vulnerabilities"]] == [PYPI_ADVISORY]
        assert ask(stripped_pypi.server.origin, "GET", "/pypi/vsm-demo-parser/json").json()["vulnerabilities"] == []

    def test_provenance_can_name_another_repository_than_the_metadata(self, full_pypi: PypiIndex) -> None:
        (entry,) = simple(full_pypi, "vsm-case-provenance")["files"]
        (bundle,) = httpx.get(entry["provenance"], trust_env=False).json()["attestation_bundles"]
        assert bundle["publisher"]["repository"] == "somebody-else/packages"
        statement = decoded(bundle["attestations"][0]["envelope"]["statement"])
        assert statement["subject"][0]["digest"] == entry["hashes"]

    @pytest.mark.parametrize("dialect", ["full_pypi", "stripped_pypi"])
    def test_uv_resolves_and_pip_downloads_in_both(
        self, dialect: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        index: PypiIndex = request.getfixturevalue(dialect)
        clients = Clients(tmp_path, index.url)
        done = clients.compile("vsm-demo-notes-server")
        assert done, done.err
        assert "vsm-demo-schema==2.3.1" in done.out
        assert clients.download("vsm-demo-sdk==1.4.0")
        assert not clients.download("vsm-case-tampered")


def simple(index: PypiIndex, project: str) -> Any:
    answer = httpx.get(f"{index.url}/{project}/", headers={"accept": SIMPLE}, trust_env=False)
    assert answer.headers["content-type"] == SIMPLE
    return answer.json()


def decoded(text: str) -> Any:
    return json.loads(base64.b64decode(text))


def fresh(top: Path, url: str) -> Path:
    place = top / url.rpartition(":")[2]
    place.mkdir()
    (place / "package.json").write_text('{"name": "asks", "version": "1.0.0"}')
    return place


def audit(clients: Clients) -> Any:
    assert clients.npm("install", "--package-lock-only", "--no-audit", "vsm-case-vulnerable")
    return json.loads(clients.npm("audit", "--json").out)
