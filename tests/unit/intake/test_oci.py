import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from unit.intake.kit import Body
from vsm_runtime.oci import OciClient, OciCorruptError, OciError, check_digest, digest_of
from vsm_runtime.oci_auth import Credentials

CONTENT = bytes(range(256)) * 4096
DIGEST = digest_of(CONTENT)
ME = Credentials("vsm", "hunter2")


def client(
    answer: Callable[[httpx.Request], httpx.Response],
    *,
    credentials: Credentials | None = None,
    url: str = "https://oci.invalid",
) -> OciClient:
    transport = httpx.MockTransport(answer)
    return OciClient(url, "vsm/bundles", credentials=credentials, transport=transport, sleep=lambda _: None)


def test_a_manifest_by_digest_is_verified() -> None:
    body = b'{"schemaVersion": 2}'
    with client(lambda _: httpx.Response(200, content=body)) as registry:
        assert registry.manifest(digest_of(body)).digest == digest_of(body)  # type: ignore[union-attr]
        with pytest.raises(OciCorruptError):
            registry.manifest("sha256:" + "0" * 64)


def test_no_manifest_is_none() -> None:
    with client(lambda _: httpx.Response(404)) as registry:
        assert registry.manifest("k-1") is None


@pytest.mark.parametrize("body", [b"other", b"x" * 5_000_000])
def test_a_blob_that_is_not_its_digest_or_too_large_is_corrupt(body: bytes) -> None:
    with client(lambda _: httpx.Response(200, content=body)) as registry, pytest.raises(OciCorruptError):
        registry.blob(DIGEST, max_bytes=1_000_000)


def test_a_download_that_breaks_off_continues_where_it_was() -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("range"))
        start = int((asked[-1] or "bytes=0-")[6:-1])
        if start < 500_000:
            return httpx.Response(206 if start else 200, stream=Body(CONTENT[start : start + 300_000], broken=True))
        return httpx.Response(206, stream=Body(CONTENT[start:]))

    with client(answer) as registry:
        assert b"".join(registry.chunks(DIGEST, max_bytes=len(CONTENT))) == CONTENT
    assert asked == [None, "bytes=300000-", "bytes=600000-"]


def test_a_download_starts_over_where_the_registry_cannot_resume() -> None:
    bodies = iter([Body(CONTENT[:1000], broken=True), Body(CONTENT[:500], broken=True), Body(CONTENT)])
    with client(lambda _: httpx.Response(200, stream=next(bodies))) as registry:
        pieces = list(registry.chunks(DIGEST, max_bytes=len(CONTENT)))
    assert b"".join(pieces) == CONTENT
    assert b"" not in pieces, "an empty piece would look like the end"


def test_a_download_that_never_gets_through_is_given_up() -> None:
    lost = client(lambda _: httpx.Response(206, stream=Body(b"", broken=True)))
    with lost as registry, pytest.raises(OciError, match="connection reset") as caught:
        list(registry.chunks(DIGEST, max_bytes=len(CONTENT)))
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(CONTENT + b"!", "is larger than", id="too long"),
        pytest.param(CONTENT[:-1] + b"!", "other content", id="changed"),
    ],
)
def test_a_download_that_is_not_its_digest_is_corrupt(body: bytes, why: str) -> None:
    forged = client(lambda _: httpx.Response(200, stream=Body(body)))
    with forged as registry, pytest.raises(OciCorruptError, match=why):
        list(registry.chunks(DIGEST, max_bytes=len(CONTENT)))


def test_a_blob_that_is_there_is_not_sent_again() -> None:
    methods: list[str] = []
    with client(lambda request: (methods.append(request.method), httpx.Response(200))[1]) as registry:
        registry.push_blob(DIGEST, CONTENT)
    assert methods == ["HEAD"]


def upload(stored: dict[str, bytes], *, failures: int = 0) -> Callable[[httpx.Request], httpx.Response]:
    left = iter(range(failures))

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            return httpx.Response(404)
        if request.method == "POST":
            return httpx.Response(202, headers={"location": "/v2/vsm/bundles/blobs/uploads/1?state=abc"})
        assert request.url.params["state"] == "abc"
        if next(left, None) is not None:
            return httpx.Response(502)
        stored[request.url.params["digest"]] = request.read()
        return httpx.Response(201)

    return answer


def test_a_blob_is_sent_in_one_piece_and_again_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(CONTENT)
    stored: dict[str, bytes] = {}
    with client(upload(stored, failures=2)) as registry:
        registry.push_blob(DIGEST, tmp_path / "layer")
    assert stored == {DIGEST: CONTENT}


def test_a_refused_upload_is_not_repeated() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        return httpx.Response(404 if request.method == "HEAD" else 403)

    with client(answer) as registry, pytest.raises(OciError, match="access is denied") as caught:
        registry.push_blob(DIGEST, CONTENT)
    assert not caught.value.retryable
    assert seen == ["HEAD", "POST"]


def test_basic_credentials_are_sent_once_they_are_asked_for() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") == ME.basic:
            return httpx.Response(404)
        return httpx.Response(401, headers={"www-authenticate": 'Basic realm="vsm"'})

    with client(answer, credentials=ME) as registry:
        assert registry.manifest("k-1") is None


def test_wrong_credentials_are_a_final_refusal_that_does_not_repeat_them() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(401, headers={"www-authenticate": 'Basic realm="vsm"'})

    with client(answer, credentials=ME) as registry, pytest.raises(OciError, match="not accepted") as caught:
        registry.manifest("k-1")
    assert "hunter2" not in str(caught.value)
    assert len(seen) == 2


def test_a_token_is_fetched_for_what_is_done_and_used() -> None:
    scopes: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.invalid":
            assert request.headers["authorization"] == ME.basic
            scopes.append(request.url.params["scope"])
            return httpx.Response(200, json={"token": f"T-{len(scopes)}"})
        if request.headers.get("authorization", "").startswith("Bearer T-"):
            return upload({})(request)
        challenge = 'Bearer realm="https://auth.invalid/token",service="oci.invalid"'
        return httpx.Response(401, headers={"www-authenticate": challenge})

    with client(answer, credentials=ME) as registry:
        registry.push_blob(DIGEST, CONTENT)
    assert scopes == ["repository:vsm/bundles:pull", "repository:vsm/bundles:pull,push"]


def test_a_token_service_without_tls_gets_no_credentials_of_a_registry_with_tls() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "oci.invalid"
        return httpx.Response(401, headers={"www-authenticate": 'Bearer realm="http://auth.invalid/token"'})

    with client(answer, credentials=ME) as registry, pytest.raises(OciError):
        registry.manifest("k-1")


def test_an_upload_location_on_another_host_gets_no_credentials() -> None:
    seen: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[f"{request.method} {request.url.host}"] = request.headers.get("authorization")
        if request.url.host == "storage.invalid":
            return httpx.Response(201)
        if request.headers.get("authorization") != ME.basic:
            return httpx.Response(401, headers={"www-authenticate": 'Basic realm="vsm"'})
        location = {"location": "https://storage.invalid/u"}
        return httpx.Response(404) if request.method == "HEAD" else httpx.Response(202, headers=location)

    with client(answer, credentials=ME) as registry:
        registry.push_blob(DIGEST, CONTENT)
    assert seen["POST oci.invalid"] == ME.basic
    assert seen["PUT storage.invalid"] is None


def test_an_outage_is_retryable_and_said_without_query_or_credentials() -> None:
    broken = client(lambda _: httpx.Response(503), url="https://u:hunter2@oci.invalid")
    with broken as registry, pytest.raises(OciError, match="answered 503") as caught:
        registry.manifest("k-1")
    assert caught.value.retryable
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("repository", ["", "Upper", "../x", "a//b", "a/", "a b"])
def test_a_malformed_repository_is_refused(repository: str) -> None:
    with pytest.raises(ValueError, match="no repository name"):
        OciClient("https://oci.invalid", repository)


@pytest.mark.parametrize("digest", ["", "latest", "sha256:abc", "sha512:" + "a" * 64, "sha256:" + "A" * 64])
def test_a_malformed_digest_is_refused(digest: str) -> None:
    with pytest.raises(ValueError, match="no digest"):
        check_digest(digest)


def test_a_repr_never_shows_the_password() -> None:
    assert "hunter2" not in repr(ME)


def test_credentials_come_from_the_files_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("vsm\n")
    (tmp_path / "password").write_text("hunter2\n")
    assert Credentials.from_directory(tmp_path) == ME


def test_a_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest_of(CONTENT) == "sha256:" + hashlib.sha256(CONTENT).hexdigest()
