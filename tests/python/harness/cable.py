"""A network namespace each for a server and a client, and a cable between them that can be pulled.

Each namespace lives as long as a process that holds it and waits on a pipe of ours, so nothing is left behind however
the tests end."""

import asyncio
import ctypes
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLONE_NEWNET = 0x40000000
DEADLINE = 10
LINK = "cable"


class NotPermitted(Exception):
    """This user may not create network namespaces, or the tools are missing."""


class Side:
    """One end of the cable: a network namespace with its own address."""

    def __init__(self, address):
        self.address = address
        try:
            self.holder = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", "echo here; exec cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError as missing:
            raise NotPermitted(str(missing)) from missing
        if self.holder.stdout.readline() != "here\n":
            raise NotPermitted(self.holder.communicate(timeout=DEADLINE)[1].strip())
        self.within = ["nsenter", "--target", str(self.holder.pid), "--net"]
        self._threads = ThreadPoolExecutor(1, initializer=enter, initargs=(self.holder.pid,))

    def plug_in(self):
        run(*self.within, "ip", "link", "set", "lo", "up")
        run(*self.within, "ip", "address", "add", f"{self.address}/24", "dev", LINK)
        run(*self.within, "ip", "link", "set", LINK, "up")

    async def do(self, function, *arguments):
        """Calls `function` in a thread of this side's namespace. Sockets that it creates stay on this side, whoever uses them."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def dial(self, server):
        """Opens a socket from this side to the server, for `connected`."""
        host, port = server.listen.split(":")
        return await self.do(socket.create_connection, (host, int(port)), DEADLINE)

    async def mute(self):
        """From now on whatever this side sends is lost; it still receives everything."""
        await asyncio.to_thread(run, *self.within, "tc", "qdisc", "add", "dev", LINK, "root", "blackhole")

    def end(self):
        self._threads.shutdown()
        self.holder.stdin.close()
        self.holder.wait(DEADLINE)
        self.holder.stdout.close()
        self.holder.stderr.close()


class Cable:
    """A cable that is plugged in at first. The server and clients that must not depend on the cable are at `near`, others at `far`."""

    def __init__(self):
        self.sides = []
        try:
            self.near, self.far = (self._side(address) for address in ("10.213.0.1", "10.213.0.2"))
            ends = [str(side.holder.pid) for side in self.sides]
            run("ip", "link", "add", LINK, "netns", ends[0], "type", "veth", "peer", "name", LINK, "netns", ends[1])
            for side in self.sides:
                side.plug_in()
                for change in ("add", "del"):
                    run(*side.within, "tc", "qdisc", change, "dev", LINK, "root", "blackhole")
        except BaseException:
            self.end()
            raise

    def _side(self, address):
        self.sides.append(Side(address))
        return self.sides[-1]

    async def pull(self):
        await asyncio.to_thread(run, *self.far.within, "ip", "link", "set", LINK, "down")

    async def plug_in(self):
        await asyncio.to_thread(run, *self.far.within, "ip", "link", "set", LINK, "up")

    def end(self):
        for side in self.sides:
            side.end()


def enter(pid):
    """Moves only the calling thread into that process's network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open() as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def run(*command):
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE)
    except FileNotFoundError as missing:
        raise NotPermitted(str(missing)) from missing
    except subprocess.CalledProcessError as failed:
        raise NotPermitted(f"`{' '.join(command)}` failed: {failed.stderr.strip()}") from failed
