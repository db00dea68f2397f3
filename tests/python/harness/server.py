"""Starts the real binary on free ports, in its own directory."""

import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

BINARY = os.environ.get("SERVER_BIN", str(Path.home() / ".cache/greenroom/target/release/greenroom"))

# A server prints its addresses just before it serves; the line with the store is the last one.
LINES = {"page": r"  open +(\S+)", "socket": r"  socket +(\S+)", "metrics": r"  metrics +(\S+)", "store": r"  store +(\S+)"}
DEADLINE = 60
SECRET = "0123456789abcdef0123456789abcdef"


class Server:
    """A running server. After `kill` it can be started again with the same directory and ports. `within` is a command
    prefix that starts `binary` in another network namespace, where it listens on `address`."""

    def __init__(self, directory, config="", store="surrealkv://./data", address="127.0.0.1", within=(), binary=BINARY):
        self.directory = Path(directory)
        self.store = store
        self.within = within
        self.binary = str(binary)
        self.listen = self.metrics_listen = f"{address}:0"
        (self.directory / "greenroom.toml").write_text(config)
        self.log = self.directory / "server.log"
        self.process = None

    def start(self):
        command = [*self.within, self.binary, "serve", "--listen", self.listen, "--metrics-listen", self.metrics_listen, "--store", self.store]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, env=clean_environment(), stdout=subprocess.PIPE, stderr=log, text=True)
        # Pipes cannot be read with a deadline: a server that prints nothing in time is killed,
        # which ends the reading.
        watchdog = threading.Timer(DEADLINE, self.process.kill)
        watchdog.start()
        said = {}
        for line in self.process.stdout:
            for name, pattern in LINES.items():
                if match := re.fullmatch(pattern, line.rstrip()):
                    said[name] = match[1]
            if "store" in said:
                break
        watchdog.cancel()
        if "store" not in said:
            raise AssertionError(f"the server did not start; it ended with {self.process.wait(DEADLINE)}:\n{self.log.read_text()}")
        self.page, self.socket, self.metrics = said["page"].rstrip("/"), said["socket"], said["metrics"]
        self.listen, self.metrics_listen = (url.split("/")[2] for url in (self.page, self.metrics))
        return self

    def kill(self):
        """Kills the process, like a power cut."""
        self._end(signal.SIGKILL)

    def terminate(self):
        """Asks it to stop and returns its exit code."""
        return self._end(signal.SIGTERM)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.kill()

    def _end(self, how):
        self.process.send_signal(how)
        try:
            return self.process.wait(DEADLINE)
        finally:
            self.process.stdout.close()

    def token(self, user, *allow, ttl="1h", secret=SECRET):
        """A token signed with the secret of `AUTH`."""
        command = [BINARY, "token", "--sub", user, "--ttl", ttl, "--secret", secret]
        for grant in allow:
            command += ["--allow", grant]
        done = subprocess.run(command, cwd=self.directory, env=clean_environment(), capture_output=True, text=True, timeout=DEADLINE, check=True)
        return done.stdout.strip()

    def get(self, url):
        """Returns the status and the body of a GET."""
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


AUTH = f"""
[auth]
secret = "{SECRET}"
anonymous = true
leeway = "0s"
"""


def clean_environment():
    """The environment without the developer's own settings, which must not change what is tested."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")}
