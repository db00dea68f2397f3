"""Presence is leased to the session: a member whose connection is lost leaves within a bound, once, and not before the
grace period ends; a member who comes back in time was never away. The bounds are those of docs/guarantees.md."""

import asyncio
import re
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest
from harness import member
from harness.cable import Cable, NotPermitted
from harness.client import connected, gather
from harness.server import AUTH

ROOM = "room:lobby"
# The server checks once a second: a grace period that is not a whole number keeps the tests away
# from the very edge of the bounds.
GRACE, IDLE, WRITE, WINDOW, INTERVAL = 0.9, 3, 2, 4, 0.05

# How long after its last sign of life a member may still be shown as present, in seconds.
RESET = GRACE + 2 + INTERVAL
SILENT = IDLE + GRACE + 3 + INTERVAL
STUCK = IDLE + WRITE + GRACE + 3 + INTERVAL


def config(grace=GRACE, window=WINDOW):
    return f"""{AUTH}
[socket]
ping_interval = "1s"
idle_timeout = "{IDLE}s"
write_timeout = "{WRITE}s"
presence_grace = "{int(grace * 1000)}ms"
resume_window = "{window}s"
[limits]
bytes_per_second = "100MiB"
bytes_burst = "100MiB"
requests_per_second = 10000
user_requests_per_second = 10000
[kinds.room]
behaviour = "room"
presence_interval = "{int(INTERVAL * 1000)}ms"
"""


@pytest.fixture
def cable():
    try:
        cable = Cable()
    except NotPermitted as why:
        pytest.skip(f"network namespaces are not available, so no cable is pulled in this run: {why}")
    yield cable
    cable.end()


@pytest.fixture
def make_far(make_server, cable):
    """Starts servers at the near end of the cable."""
    return lambda **options: make_server(config(**options), store="memory", address=cable.near.address, within=cable.near.within)


async def test_a_killed_client_leaves_once_and_not_before_the_grace_period_ends(make_server):
    server = make_server(config(), store="memory")
    async with watcher(server) as watching:
        command = [sys.executable, member.__file__, server.socket, ROOM, server.token("alice")]
        process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
        try:
            await joined(watching, "alice")
            assert await asyncio.to_thread(process.stdout.readline) == "here\n"
            killed = time.monotonic()
            process.kill()
            await left_once(watching, "alice", killed, RESET)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        await never_again(watching, server, asyncio.to_thread)


async def test_a_pulled_cable_ends_presence_within_the_bound(make_far, cable):
    server = make_far()
    async with watcher(server, cable) as watching, far_member(server, cable):
        await joined(watching, "alice")
        pulled = time.monotonic()
        await cable.pull()
        await left_once(watching, "alice", pulled, SILENT)
        await never_again(watching, server, cable.near.do)


@pytest.mark.parametrize("which", ["pings", "answers"])
async def test_a_half_open_connection_ends_presence_within_the_bound(make_far, cable, which):
    """Either nothing reaches the member, who keeps sending, or nothing that the member sends arrives."""
    server = make_far()
    async with watcher(server, cable) as watching, far_member(server, cable) as alice:
        await joined(watching, "alice")
        muted = time.monotonic()
        await (cable.near if which == "pings" else cable.far).mute()
        talking = asyncio.create_task(talk(alice))
        await left_once(watching, "alice", muted, SILENT)
        assert not talking.done(), "its end of the connection is still open"
        talking.cancel()
        await never_again(watching, server, cable.near.do)


async def test_a_member_being_sent_events_leaves_within_the_bound(make_far, cable):
    """Events fill the member's outbox, so it is no longer pinged: the write timeout ends its session."""
    server = make_far()
    async with watcher(server, cable) as watching, far_member(server, cable) as alice, joining(server, "bob", cable.near) as bob:
        await joined(watching, "alice")
        await alice.call("subscribe", entity=ROOM)
        posting = asyncio.create_task(post_for_ever(bob))
        while (await alice.notification("event"))["seq"] < 20:
            pass
        pulled = time.monotonic()
        await cable.pull()
        await left_once(watching, "alice", pulled, STUCK)
        assert not posting.done()
        posting.cancel()
        assert await metric(server, cable.near.do, 'greenroom_closes_total{reason="slow_consumer"}') == 1
        await never_again(watching, server, cable.near.do)


@pytest.mark.parametrize("noticed", ["by both", "by the client only"])
async def test_a_cable_back_within_the_grace_period_shows_nothing(make_far, cable, noticed):
    server = make_far(grace=30, window=60)
    async with watcher(server, cable) as watching, far_member(server, cable) as alice:
        await joined(watching, "alice")
        await cable.pull()
        if noticed == "by both":
            await until(server, cable.near.do, "greenroom_sessions_parked", 1)
        await cable.plug_in()
        again = {"client": alice.hello["client"], "session": alice.hello["session"]}
        async with joining(server, "alice", cable.far, again) as alice_again:
            assert alice_again.hello["resumed"] is True
            assert alice_again.hello["session"] != alice.hello["session"]
            if noticed == "by the client only":
                # The old connection works again with the cable, and is told that it has been
                # replaced.
                assert await alice.closed() == (4011, "replaced")
            await alice_again.call("presence", entity=ROOM, action="enter", meta={"back": True})
            here = {"user": "alice", "meta": {"back": True}, "sessions": 1}
            assert await watching.notification("presence") == {"entity": ROOM, "updated": [here], "count": 1}, "there were no earlier changes"
            listed = await watching.call("presence", entity=ROOM)
            assert listed == {"count": 1, "members": [here]}


@asynccontextmanager
async def joining(server, user, side=None, params=None):
    """Connects a client on that side of the cable. It ends without a close, since the server may be unreachable."""
    token = await asyncio.to_thread(server.token, user)
    options = {"sock": await side.dial(server)} if side else {}
    async with connected(server, params={"token": token, **(params or {})}, **options) as client:
        try:
            yield client
        finally:
            client.socket.transport.abort()


@asynccontextmanager
async def watcher(server, cable=None):
    async with joining(server, "watcher", cable and cable.near) as client:
        await client.call("subscribe", entity=ROOM, events="none", presence=True)
        yield client


@asynccontextmanager
async def far_member(server, cable):
    async with joining(server, "alice", cable.far) as client:
        await client.call("presence", entity=ROOM, action="enter")
        yield client


async def joined(watching, user):
    change = await watching.notification("presence")
    assert [member["user"] for member in change["joined"]] == [user]


async def left_once(watching, user, since, within):
    async with asyncio.timeout(since + within - time.monotonic()):
        assert await watching.notification("presence") == {"entity": ROOM, "left": [user], "count": 0}
    took = time.monotonic() - since
    assert took >= GRACE, f"it left after {took:.3f} s, before the grace period was over"
    print(f"left after {took:.2f} s, of {within:.2f} s at most")


async def never_again(watching, server, do):
    """Once the server has forgotten the session, the next presence change is about somebody else."""
    await until(server, do, "greenroom_sessions_parked", 0)
    await watching.call("presence", entity=ROOM, action="enter")
    await joined(watching, "watcher")


async def talk(client):
    """Sends a request now and then, and receives whatever arrives."""

    async def say():
        while True:
            await client.request("ping")
            await asyncio.sleep(0.1)

    async def listen():
        while True:
            await client.receive()

    await gather(say(), listen())


async def post_for_ever(client):
    for n in range(1, sys.maxsize):
        await client.call("send", entity=ROOM, type="post", body={"text": "x" * 30_000}, n=n)


async def metric(server, do, sample):
    _, page = await do(server.get, server.metrics)
    found = re.search(rf"^{re.escape(sample)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0


async def until(server, do, sample, value):
    while await metric(server, do, sample) != value:
        await asyncio.sleep(0.05)
