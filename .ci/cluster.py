"""Three nodes, the NATS and the database that they share, on loopback, until Ctrl-C: `make cluster`.

What is killed is started again after `--restart-after` seconds, as a supervisor would do, so that the failures in
docs/cluster.md can be tried out. Logs, configurations and the database are in the directory `--data`, and outlive it.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

SLOTS = 1024
NODES = ("node-1", "node-2", "node-3")
LOBBY = "room:lobby"
LOOK_EVERY = 0.25
# How long everything may take to start: the first start makes the database.
PATIENCE = 120
# How long what is asked to stop may take, longer than `drain.deadline` of a node.
STOP_WITHIN = 20

HOME = Path(os.environ.get("TOOLS_DIR", Path.home() / ".cache/greenroom/tools"))
SERVER = Path(os.environ.get("SERVER_BIN", Path.home() / ".cache/greenroom/target/release/greenroom"))


class Failed(Exception):
    """The cluster cannot run; the text says why."""


class Stop(Exception):
    """Somebody has asked for the end."""


def operators(node):
    return f"{node}'s operators"


def ports_from(first):
    """The pages are next to each other, and so are the operators' listeners, ten ports further."""
    pages = {name: first + number for number, name in enumerate(NODES, 1)}
    return pages | {operators(name): port + 10 for name, port in pages.items()} | {"nats": first + 20, "database": first + 21}


def say(text=""):
    print(text, flush=True)


class Part:
    """A process that is started again when it ends."""

    def __init__(self, name, command, log, env=None):
        self.name, self.command, self.log = name, command, log
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("GREENROOM_")} | (env or {})
        self.process = self.ended = None

    def start(self):
        self.ended = None
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C on the terminal must not reach the database before the nodes.
            self.process = subprocess.Popen(
                self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def is_gone(self):
        """True once for each end."""
        if self.ended is not None or self.process.poll() is None:
            return False
        self.ended = time.monotonic()
        return True


class Node(Part):
    def __init__(self, name, ports, command, log):
        super().__init__(name, command, log)
        self.page = f"http://127.0.0.1:{ports[name]}/"
        self.operators = f"http://127.0.0.1:{ports[operators(name)]}"

    def get(self, path, body=None):
        """The status and the body of an answer of the operators' listener; `None, ""` if there is none."""
        try:
            with urllib.request.urlopen(f"{self.operators}{path}", body and json.dumps(body).encode(), timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None, ""

    def is_ready(self):
        return self.ended is None and self.get("/ready")[0] == 200

    def open_slots(self):
        status, body = self.get("/cluster")
        return json.loads(body)["slots"]["open"] if status == 200 else 0

    def owns(self, entity):
        status, body = self.get(f"/cluster/owner/{entity}")
        return self.ended is None and status == 200 and json.loads(body)["name"] == self.name


class Cluster:
    def __init__(self, options):
        self.asked = threading.Event()
        self.options, self.ports = options, ports_from(options.port)
        data, ports = options.data.resolve(), self.ports
        # It holds the secrets that the parts show each other.
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data / "logs").mkdir(exist_ok=True)
        secret = data / "secret"
        if not secret.exists():
            secret.write_text(secrets.token_hex(16))
        (data / "nats.conf").write_text(NATS.format(port=ports["nats"], token=secret.read_text()))
        for name in NODES:
            settings = {"port": ports[name], "operators": ports[operators(name)], "nats": ports["nats"], "database": ports["database"]}
            (data / f"{name}.toml").write_text(NODE.format(name=name, secret=json.dumps(str(secret)), **settings))
        self.nodes = [
            Node(name, ports, [SERVER, "serve", "--config", data / f"{name}.toml"], data / f"logs/{name}.log") for name in NODES
        ]
        database = ["start", "--bind", f"127.0.0.1:{ports['database']}", "--log", "warn", f"surrealkv://{data}/database?sync=every"]
        self.shared = [
            Part("nats", [nats_server(), "--config", data / "nats.conf"], data / "logs/nats.log"),
            Part(
                "database",
                [SERVER.with_name("greenroom-dev-surrealdb"), *database],
                data / "logs/database.log",
                {"SURREAL_USER": "root", "SURREAL_PASS": secret.read_text()},
            ),
        ]
        self.parts = [*self.shared, *self.nodes]

    def run(self):
        """Until `Stop`."""
        for part in self.parts:
            part.start()
        say(f"Starting three nodes, NATS and a database; their logs are in {self.options.data}/logs.")
        self.wait_for("are not ready", lambda: all(node.is_ready() for node in self.nodes))
        say("All three are ready; each gets its share of the entities ten seconds after the last one joined.")
        self.wait_for("have not shared the entities", lambda: all(node.open_slots() >= SLOTS // len(NODES) for node in self.nodes))
        self.explain()
        while True:
            self.rest()
            self.restart()

    def rest(self):
        if self.asked.wait(LOOK_EVERY):
            raise Stop

    def wait_for(self, problem, done):
        deadline = time.monotonic() + PATIENCE
        while not done():
            for part in self.parts:
                if part.is_gone():
                    raise Failed(f"{part.name} ended with {part.process.returncode}; the end of {part.log}:\n{tail(part.log)}")
            if time.monotonic() > deadline:
                raise Failed(f"the nodes {problem} after {PATIENCE} s; look at {self.options.data}/logs")
            self.rest()

    def explain(self):
        owner = next((node for node in self.nodes if node.owns(LOBBY)), self.nodes[0])
        others = [node for node in self.nodes if node is not owner]
        say()
        for part in self.parts:
            where = f"{part.page}   operators {part.operators}" if isinstance(part, Node) else f"port {self.ports[part.name]}"
            say(f"  {part.name:<9} pid {part.process.pid:<8} {where}")
        say()
        say(f"  open   {others[0].page} and {others[1].page} in two windows, and write")
        say(f"  kill   kill -9 {owner.process.pid}   # {owner.name}, the owner of {LOBBY}: the windows pause for 2 to 3 seconds")
        say(f"  look   curl {others[0].operators}/cluster")
        say()
        say(f"What is killed starts again after {self.options.restart_after} s. Ctrl-C stops everything.")

    def restart(self):
        for part in self.parts:
            if part.is_gone():
                say(f"{part.name} has ended with {part.process.returncode}; it starts again in {self.options.restart_after} s")
            elif part.ended is not None and time.monotonic() > part.ended + self.options.restart_after:
                part.start()
                say(f"{part.name} has started again: pid {part.process.pid}")

    def stop(self):
        """The nodes first, which still need the others."""
        for group in (self.nodes, self.shared):
            running = [part.process for part in group if part.process and part.process.poll() is None]
            for process in running:
                process.terminate()
            deadline = time.monotonic() + STOP_WITHIN
            for process in running:
                try:
                    process.wait(max(0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def kill(self):
        for part in self.parts:
            if part.process and part.process.poll() is None:
                part.process.kill()


def tail(log):
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def nats_server():
    found = [HOME / "venv/bin/nats-server", shutil.which("nats-server")]
    binary = next((path for path in found if path and Path(path).exists()), None)
    if not binary:
        raise Failed("there is no `nats-server`; `.ci/deps cluster` installs it")
    return binary


def check(ports):
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                why = f"port {port}, for {name}, cannot be used: {error.strerror}"
                raise Failed(f"{why}. Is another one running? `--port` chooses other ports") from error


NATS = """\
# Written by `make cluster`.
listen: "127.0.0.1:{port}"
authorization {{ token: "{token}" }}
ping_interval: "1s"
ping_max: 2
write_deadline: "2s"
"""

NODE = """\
# Written by `make cluster`.
listen = "127.0.0.1:{port}"
metrics.listen = "127.0.0.1:{operators}"
workers = 2

[store]
url = "ws://127.0.0.1:{database}"
username = "root"
password_file = {secret}

[cluster]
node = "{name}"
[cluster.nats]
url = "nats://127.0.0.1:{nats}"
token_file = {secret}

[drain]
reconnect_spread = "2s"
"""


def main():
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8080, help="the nodes are on the next three ports (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data-cluster"), help="where everything is kept (default: ./%(default)s)")
    parser.add_argument("--restart-after", type=int, default=10, metavar="SECONDS", help="how long what has ended stays away (default: %(default)s)")
    options = parser.parse_args()

    try:
        check(ports_from(options.port))
        cluster = Cluster(options)
    except Failed as why:
        sys.exit(f"cluster: {why}")

    def ask(_number, _frame):
        # Whoever asks a second time does not want to wait.
        if cluster.asked.is_set():
            cluster.kill()
        cluster.asked.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    try:
        cluster.run()
    except Stop:
        say("Stopping everything.")
    except Failed as why:
        print(f"cluster: {why}", file=sys.stderr)
        return 1
    finally:
        cluster.stop()
    say(f"Stopped. The data is still in {options.data}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
