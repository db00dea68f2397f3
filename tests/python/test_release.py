"""What `make release` makes: a tarball and a container image, each with a server that starts."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from harness.server import BINARY, Server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A release of the binary under test."""
    for program in ("buildah", "strip", "objdump"):
        if not shutil.which(program):
            pytest.skip(f"no `{program}`: `.ci/deps release` installs it")
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / ".ci/release", BINARY, directory], check=True)
    return directory


def only(directory, pattern):
    [path] = directory.glob(pattern)
    return path


def serves(server):
    """Starts it, asks for the page, and stops it."""
    server.start()
    try:
        status, body = server.get(server.page + "/")
        assert status == 200 and "<title>Greenroom" in body
        assert server.terminate() == 0
    finally:
        server.stop()


def test_the_checksums_are_those_of_the_files(dist):
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=dist, check=True)
    listed = {line.split()[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in dist.iterdir()} - {"SHA256SUMS"}


def test_a_server_starts_from_the_tarball(dist, tmp_path):
    archive = only(dist, "*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    names = {path.name for path in unpacked.iterdir()}
    assert names == {"greenroom", "greenroom.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"}
    sections = subprocess.run(["objdump", "--section-headers", unpacked / "greenroom"], capture_output=True, text=True, check=True).stdout
    assert ".debug_info" not in sections, "it is stripped"
    (tmp_path / "run").mkdir()
    serves(Server(tmp_path / "run", store="memory", binary=unpacked / "greenroom"))


def test_a_server_starts_from_the_image(dist, tmp_path):
    """As a container engine would start it: what the image's own configuration says, in its own files, as its own user."""
    if os.geteuid() != 0:
        pytest.skip("only root can change the root directory of a process")
    image = tmp_path / "image"
    with tarfile.open(only(dist, "*.oci.tar")) as tar:
        tar.extractall(image, filter="data")

    def blob(descriptor):
        return image / "blobs" / descriptor["digest"].replace(":", "/")

    [manifest] = json.loads((image / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(manifest).read_text())
    config = json.loads(blob(manifest["config"]).read_text())["config"]
    assert config["User"] == "65532:65532" and config["Cmd"] == ["serve"]
    root = tmp_path / "root"
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer)) as tar:
            tar.extractall(root, filter="tar")
    [entrypoint] = config["Entrypoint"]
    (tmp_path / "run").mkdir()
    within = ["chroot", f"--userspec={config['User']}", str(root)]
    serves(Server(tmp_path / "run", store="memory", within=within, binary=entrypoint))
