"""docs/guides/reverse-proxy.md: the configurations that it shows, under a real nginx and a real Caddy."""

import os
import shutil
import socket
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.client import connected
from harness.pages import snippet
from harness.server import BINARY, SECRET, clean_environment
from websockets.exceptions import InvalidStatus

PAGE = "guides/reverse-proxy.md"
TOOLS = Path(os.environ.get("TOOLS_DIR", Path.home() / ".cache/greenroom/tools"))
HOST = "chat.example.org"
ORIGIN = f"https://{HOST}"
DEADLINE = 20


def program(name, path):
    found = os.environ.get(name.upper()) or shutil.which(name) or TOOLS / name / path
    if not Path(found).exists():
        pytest.skip(f"there is no {name} here; `.ci/deps test` unpacks it")
    return str(found)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def only(text, old, new):
    assert text.count(old) == 1, f"{PAGE} no longer has `{old}` once"
    return text.replace(old, new)


@pytest.fixture
def behind(make_server):
    """A server configured as the page says, on a port of its own."""
    config = only(snippet(PAGE, "greenroom.toml"), 'secret_file = "secret"          # or', f'secret = "{SECRET}"  # or')
    return make_server(config, store="memory")


@contextmanager
def running(command, port, directory):
    """The proxy, until the block ends; the log is shown where it does not come up."""
    log = directory / "proxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, env={**clean_environment(), "HOME": str(directory)}, stdout=output, stderr=output)
    try:
        for _ in range(DEADLINE * 20):
            if process.poll() is not None:
                raise AssertionError(log.read_text())
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                # Nothing tells when it listens but trying.
                process_wait(process)
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)


def process_wait(process):
    try:
        process.wait(0.05)
    except subprocess.TimeoutExpired:
        pass


async def works(server, url, **options):
    """A post through the proxy, from a listed page; another page is refused."""

    class Proxied:
        pass

    Proxied.socket = url
    token = server.token("alice")
    async with connected(Proxied, params={"token": token}, origin=ORIGIN, **options) as client:
        sent = await client.call("send", entity="room:proxied", type="post", body={"text": "hi"}, n=1)
        assert sent["seq"] == 1
    with pytest.raises(InvalidStatus) as refused:
        async with connected(Proxied, params={"token": token}, origin="https://elsewhere.example.org", **options):
            pass
    assert refused.value.response.status_code == 403


async def test_nginx(behind, tmp_path):
    nginx = program("nginx", "usr/sbin/nginx")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", f"/CN={HOST}"]
    subprocess.run([*make, "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    port = free_port()
    shown = snippet(PAGE, "nginx.conf")
    shown = only(shown, "listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    shown = only(only(shown, "/etc/ssl/chat.example.org.pem", str(certificate)), "/etc/ssl/chat.example.org.key", str(key))
    shown = only(shown, "127.0.0.1:8080", behind.listen)
    paths = "\n".join(f"{what}_temp_path {tmp_path}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = tmp_path / "whole.conf"
    config.write_text(f"daemon off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}\n{shown}\n}}\n")
    context = ssl.create_default_context(cafile=str(certificate))
    with running([nginx, "-p", str(tmp_path), "-c", str(config), "-e", "stderr"], port, tmp_path):
        await works(behind, f"wss://{HOST}:{port}/ws", ssl=context, host="127.0.0.1", port=port, server_hostname=HOST)


async def test_caddy(behind, tmp_path):
    caddy = program("caddy", "usr/bin/caddy")
    port = free_port()
    # A certificate of a public authority cannot be had here, so the site is a plain one.
    shown = only(snippet(PAGE, "Caddyfile"), f"{HOST} {{", f"http://{HOST}:{port} {{")
    shown = only(shown, "127.0.0.1:8080", behind.listen)
    config = tmp_path / "Caddyfile"
    config.write_text("{\n\tadmin off\n}\n" + shown)
    with running([caddy, "run", "--config", str(config), "--adapter", "caddyfile"], port, tmp_path):
        await works(behind, f"ws://{HOST}:{port}/ws", host="127.0.0.1", port=port)


def test_the_page_configures_what_exists(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "greenroom.toml").write_text(snippet(PAGE, "greenroom.toml"))
    done = subprocess.run([BINARY, "check", "--store", "memory"], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
