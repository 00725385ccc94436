import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from localcluster import images
from localcluster.archives import StaticImage, names_in
from localcluster.errors import LocalClusterError


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(b"\x7fELF and so on")
    return path


def archive_of(image: StaticImage, path: Path) -> dict[str, bytes]:
    image.write(path)
    with tarfile.open(path) as tar:
        return {member.name: stream.read() for member in tar if (stream := tar.extractfile(member))}


def blob(content: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    found = content["blobs/sha256/" + descriptor["digest"].partition(":")[2]]
    assert "sha256:" + hashlib.sha256(found).hexdigest() == descriptor["digest"]
    assert len(found) == descriptor["size"]
    return found


def test_an_archive_is_an_oci_layout_whose_digests_hold(program: Path, tmp_path: Path) -> None:
    image = StaticImage("localhost/tool:1", program, arguments=("serve",), files={"etc/tool.yml": "a: 1\n"})
    content = archive_of(image, tmp_path / "image.tar")

    manifest = json.loads(blob(content, json.loads(content["index.json"])["manifests"][0]))
    config = json.loads(blob(content, manifest["config"]))
    layer = blob(content, manifest["layers"][0])
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        modes = {member.name: member.mode for member in tar}

    assert modes == {"tool": 0o755, "etc/tool.yml": 0o644}
    assert config["config"]["Entrypoint"] == ["/tool"]
    assert config["config"]["Cmd"] == ["serve"]
    assert config["config"]["User"] != "0"
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]


def test_the_same_program_gives_the_same_archive(program: Path, tmp_path: Path) -> None:
    image = StaticImage("localhost/tool:1", program)
    image.write(tmp_path / "one.tar")
    program.touch()
    image.write(tmp_path / "two.tar")

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_an_archive_of_ours_tells_its_name(program: Path, tmp_path: Path) -> None:
    StaticImage("localhost/tool:1", program).write(tmp_path / "image.tar")

    assert names_in(tmp_path / "image.tar") == ["localhost/tool:1"]


def tar_with(path: Path, name: str, document: object) -> Path:
    data = json.dumps(document).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    with tarfile.open(path, "w") as tar:
        tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("name", "document", "names"),
    [
        pytest.param(
            "index.json",
            {"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "localhost/a:1"}}]},
            ["localhost/a:1"],
            id="OCI with a full name",
        ),
        pytest.param(
            "index.json",
            {"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "latest"}}, {}]},
            ["", ""],
            id="OCI with a bare tag, or nothing",
        ),
        pytest.param("manifest.json", [{"RepoTags": ["a:1", "b:2"]}], ["a:1", "b:2"], id="Docker"),
        pytest.param("./manifest.json", [{"RepoTags": None}], [""], id="Docker without a tag"),
    ],
)
def test_names_are_found_in_every_kind_of_archive(
    tmp_path: Path, name: str, document: object, names: list[str]
) -> None:
    assert names_in(tar_with(tmp_path / "image.tar", name, document)) == names


def test_a_file_that_is_no_image_archive_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for path in (tmp_path / "absent", tmp_path / "text", tar_with(tmp_path / "other.tar", "x.json", {})):
        with pytest.raises(LocalClusterError, match=str(path)):
            names_in(path)


def test_the_clusters_own_images_carry_the_versions_of_their_module(tmp_path: Path) -> None:
    references = [image.reference for image in images.own_images(tmp_path)]

    assert references[0] == "localhost/vsm-pause:1"
    assert references[1].startswith("localhost/vsm-coredns:1.")
    assert references[2].startswith("localhost/vsm-registry:3.")
