"""`make cluster`: three nodes that survive the death of one, and an end that leaves nothing behind."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from harness.client import connected
from harness.server import clean_environment

SCRIPT = Path(__file__).resolve().parents[2] / ".ci/cluster.py"
DEADLINE = 120
# The longest that a request waits for an owner: `cluster.hold`.
HOLD = 5


class Cluster:
    """The script, as `make cluster` starts it, but without a terminal."""

    def __init__(self, directory):
        self.port = free_ports()
        command = [sys.executable, str(SCRIPT), "--port", str(self.port), "--data", str(directory), "--restart-after", "5"]
        self.process = subprocess.Popen(
            command, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        # Reading has no deadline of its own.
        self.watchdog = threading.Timer(DEADLINE, self.process.terminate)
        self.watchdog.start()
        self.said = ""

    def line(self, pattern):
        """Reads until a line that has this, and returns its groups."""
        for line in self.process.stdout:
            self.said += line
            if match := re.search(pattern, line):
                return match.groups()
        raise AssertionError(f"`{pattern}` was never said:\n{self.said}")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.said += self.process.communicate(timeout=DEADLINE)[0]
        finally:
            self.watchdog.cancel()
        return self.process.returncode


def free_ports():
    """A port behind which all those are free that the script needs."""
    for _ in range(100):
        port = random.randrange(20000, 32000)
        if all(is_free(port + offset) for offset in (1, 2, 3, 11, 12, 13, 20, 21)):
            return port
    raise AssertionError("no free ports")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def ready(operators):
    try:
        with urlopen(f"{operators}/ready", timeout=5) as answer:
            return answer.status == 200
    except HTTPError:
        return False


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path / "data")
    yield cluster
    if cluster.process.poll() is None:
        cluster.stop()


async def test_the_death_of_an_owner_is_a_pause(cluster, tmp_path):
    nodes, pids = {}, []
    for name in ("nats", "database", "node-1", "node-2", "node-3"):
        pid, where = cluster.line(rf"^  {name} +pid (\d+) +(.+)$")
        pids.append(int(pid))
        if name.startswith("node"):
            page, operators = where.split("   operators ")
            nodes[int(pid)] = SimpleNamespace(name=name, operators=operators, socket=page.replace("http:", "ws:") + "ws")
    victim = int(cluster.line(r"^  kill +kill -9 (\d+) ")[0])
    owner = nodes.pop(victim)
    cluster.line("^What is killed starts again")
    here, there = nodes.values()

    async with connected(here) as alice, connected(there) as bob:
        await bob.call("subscribe", entity="room:lobby")
        first = await alice.call("send", entity="room:lobby", type="post", body={"text": "before"}, n=1)
        assert (await bob.notification("event"))["body"] == {"text": "before"}

        os.kill(victim, signal.SIGKILL)
        begun = time.monotonic()
        second = await alice.call("send", entity="room:lobby", type="post", body={"text": "after"}, n=2)
        assert time.monotonic() - begun < HOLD
        assert second["seq"] == first["seq"] + 1
        assert (await bob.notification("event"))["body"] == {"text": "after"}

    while not (ready(here.operators) and ready(there.operators)):
        assert time.monotonic() - begun < DEADLINE
    assert cluster.line(r"^(node-\d) has ended with -9") == (owner.name,)
    name, pid = cluster.line(r"^(node-\d) has started again: pid (\d+)")
    assert name == owner.name

    assert cluster.stop() == 0, cluster.said
    assert "Stopped." in cluster.said
    assert not [one for one in (*pids, int(pid)) if is_alive(one)]
    assert (tmp_path / "data/database").is_dir()


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        port = free_ports()
        taken.bind(("127.0.0.1", port + 20))
        taken.listen()
        command = [sys.executable, str(SCRIPT), "--port", str(port), "--data", str(tmp_path / "data")]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert f"port {port + 20}, for nats, cannot be used" in done.stderr
    assert not (tmp_path / "data").exists()
