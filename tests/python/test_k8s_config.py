"""The binary accepts the configuration in k8s/base: every key exists and every value is valid."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "k8s/base/greenroom.toml"
SERVER = os.environ.get("SERVER_BIN", str(Path.home() / ".cache/greenroom/target/release/greenroom"))

# A public key of the type that the manifests ask for. Its private key was thrown away.
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE65fUveSYPqmGDfZkiRlZrq/NTXzd
DPgDb4bYSoJMe7c0XuBNXU0nnfWBIM7CyvPta5+8FXmDJffolbKDm4shSw==
-----END PUBLIC KEY-----
"""


def check(config, tmp_path):
    """Runs `greenroom check` as configured in the pod, except for the volume and the Secret, which do not exist here."""
    key = tmp_path / "jwt.pem"
    key.write_text(PUBLIC_KEY)
    env = {"PATH": os.environ["PATH"], "GREENROOM_AUTH__PUBLIC_KEY_FILE": str(key)}
    command = [SERVER, "check", "--config", str(config), "--store", "memory"]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_binary_accepts_it(tmp_path):
    done = check(CONFIG, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "doc, room" in done.stdout
    assert "tokens by 1 key; anonymous users refused" in done.stdout


def test_an_unknown_key_is_refused(tmp_path):
    config = tmp_path / "greenroom.toml"
    config.write_text(CONFIG.read_text().replace("deadline =", "deadlines ="))
    done = check(config, tmp_path)
    assert done.returncode == 2
    assert "deadlines" in done.stderr
