"""Acknowledged means durable, checked by a client that keeps only the answers it received."""

import asyncio
import json

from harness.client import connected
from websockets.exceptions import ConnectionClosed

BATCHES = 4


async def test_acknowledged_ops_survive_kill_9(make_server, codec):
    """Four times, posts stream in until the process is killed; then every answer received must be true."""
    server = make_server()
    acknowledged, client_id, n = {}, None, 0
    for _ in range(BATCHES):
        before = len(acknowledged)
        async with connected(server, codec, {"client": client_id} if client_id else None) as client:
            client_id = client.hello["client"]
            killed = None
            try:
                while True:
                    asked = {}
                    for _ in range(16):
                        n += 1
                        asked[n] = await client.request("send", {"entity": "room:kept", "type": "post", "body": {"n": n}, "n": n})
                    for number, id in asked.items():
                        acknowledged[number] = await client.answer(id)
                    if len(acknowledged) - before >= 64 and not killed:
                        # It is killed while more ops are on their way.
                        killed = asyncio.get_running_loop().run_in_executor(None, server.kill)
            except ConnectionClosed:
                await killed
        await asyncio.to_thread(server.start)
    assert len(acknowledged) >= BATCHES * 64

    async with connected(server, codec, {"client": client_id}) as client:
        log = await whole_history(client, "room:kept")
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
        stored = {event["body"]["n"]: event["seq"] for event in log}
        assert len(stored) == len(log), "an op happened twice"
        for number, result in acknowledged.items():
            assert stored[number] == result["seq"]
        # A repeat gets the same outcome, from a process that did not give the first answer.
        for number in list(acknowledged)[-20:]:
            again = await client.call("send", entity="room:kept", type="post", body={"n": number}, n=number)
            assert again == {**acknowledged[number], "duplicate": True}
        assert len(await whole_history(client, "room:kept")) == len(log)


async def test_a_position_survives_the_process(make_server):
    server = make_server()
    async with connected(server) as client:
        for n in range(1, 6):
            last = await client.call("send", entity="doc:plan", type="set", body={"path": f"/{n}", "value": n}, n=n)
    server.kill()
    await asyncio.to_thread(server.start)
    async with connected(server) as client:
        resumed = await client.call("subscribe", entity="doc:plan", after={"epoch": last["epoch"], "seq": 2})
        assert [event["seq"] for event in resumed["events"]] == [3, 4, 5]
        assert (await client.call("read", entity="doc:plan"))["state"] == {str(n): n for n in range(1, 6)}
        after = await client.call("send", entity="doc:plan", type="increment", body={"path": "/1", "by": 1}, n=1)
        assert (after["seq"], after["epoch"], after["result"]) == (6, last["epoch"], 2)


async def test_a_clean_stop_keeps_everything_too(make_server):
    server = make_server()
    async with connected(server) as client:
        for n in range(1, 4):
            await client.call("send", entity="room:kept", type="post", body={"n": n}, n=n)
    assert await asyncio.to_thread(server.terminate) == 0
    await asyncio.to_thread(server.start)
    async with connected(server) as client:
        assert [event["body"] for event in await whole_history(client, "room:kept")] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_second_process_on_the_same_data_is_refused(make_server):
    first = make_server()
    second = type(first)(first.directory)
    try:
        second.start()
    except AssertionError as refused:
        assert "data" in str(refused)
    else:
        second.stop()
        raise AssertionError("two processes can write to one store")
    status, body = first.get(first.metrics.replace("/metrics", "/live"))
    assert status == 200 and json.loads(body)


async def whole_history(client, entity):
    events, more = [], True
    while more:
        page = await client.call("history", entity=entity, after=len(events), limit=1000)
        events += page["events"]
        more = page["more"]
    return events
