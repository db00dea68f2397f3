"""The programs accept the configurations in k8s: every key exists and every value is valid."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SINGLE, CLUSTER = (ROOT / "k8s" / path / "greenroom.toml" for path in ("base", "overlays/cluster"))
NATS_CONFIG = ROOT / "k8s/overlays/cluster/nats.conf"
SERVER = os.environ.get("SERVER_BIN", str(Path.home() / ".cache/greenroom/target/release/greenroom"))
NATS = Path(os.environ.get("TOOLS_DIR", Path.home() / ".cache/greenroom/tools")) / "venv/bin/nats-server"
# Nothing listens there, which is found out at once.
NOWHERE = "ws://127.0.0.1:1"

# A public key of the type that the manifests ask for. Its private key was thrown away.
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE65fUveSYPqmGDfZkiRlZrq/NTXzd
DPgDb4bYSoJMe7c0XuBNXU0nnfWBIM7CyvPta5+8FXmDJffolbKDm4shSw==
-----END PUBLIC KEY-----
"""


def check(config, tmp_path, store):
    """Runs `greenroom check` as configured in the pod, except for the store and the Secrets, which do not exist here."""
    files = {
        "GREENROOM_AUTH__PUBLIC_KEY_FILE": ("jwt.pem", PUBLIC_KEY),
        "GREENROOM_STORE__PASSWORD_FILE": ("password", "secret"),
        "GREENROOM_CLUSTER__NATS__TOKEN_FILE": ("token", "secret"),
    }
    env = {"PATH": os.environ["PATH"]}
    for variable, (name, text) in files.items():
        if variable.startswith("GREENROOM_AUTH") or "[cluster]" in config.read_text():
            (tmp_path / name).write_text(text)
            env[variable] = str(tmp_path / name)
    command = [SERVER, "check", "--config", str(config), "--store", store]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_binary_accepts_it(tmp_path):
    done = check(SINGLE, tmp_path, "memory")
    assert done.returncode == 0, done.stderr
    assert "doc, room" in done.stdout
    assert "tokens by 1 key; anonymous users refused" in done.stdout


def test_the_binary_accepts_that_of_a_cluster(tmp_path):
    done = check(CLUSTER, tmp_path, NOWHERE)
    assert "doc, room" in done.stdout, done.stderr
    assert "tokens by 1 key; anonymous users refused" in done.stdout
    # Only the database is missing.
    assert done.returncode == 1
    assert f"no SurrealDB server answers at `{NOWHERE}`" in done.stderr


@pytest.mark.parametrize(("original", "store"), [(SINGLE, "memory"), (CLUSTER, NOWHERE)])
def test_an_unknown_key_is_refused(original, store, tmp_path):
    config = tmp_path / "greenroom.toml"
    config.write_text(original.read_text().replace("deadline =", "deadlines ="))
    done = check(config, tmp_path, store)
    assert done.returncode == 2
    assert "deadlines" in done.stderr


@pytest.mark.parametrize("token", ["greenroom-0123456789abcdef", "greenroom-12e3"])
def test_nats_accepts_its_configuration(token):
    nats = NATS if NATS.exists() else shutil.which("nats-server")
    assert nats, "there is no `nats-server`; `.ci/deps test` installs it"
    env = {"POD_NAME": "greenroom-nats-0", "NATS_TOKEN": token}
    done = subprocess.run([nats, "-t", "--config", NATS_CONFIG], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
