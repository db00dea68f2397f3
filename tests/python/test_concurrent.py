"""Many clients at once see the same conversation."""

from harness.client import JSON, MSGPACK, connected, gather

CLIENTS, EACH = 40, 10


async def test_everybody_sees_the_same_conversation_in_the_same_order(server, name):
    entity = f"room:{name}"

    async def person(k):
        # Anonymous users of one address would share a rate limit.
        async with connected(server, MSGPACK if k % 2 else JSON, {"token": tokens[k]}) as client:
            start = await client.call("subscribe", entity=entity)
            asked = [await client.request("send", {"entity": entity, "type": "post", "body": {"by": k, "line": line}, "n": line}) for line in range(1, EACH + 1)]
            sent = [await client.answer(id) for id in asked]
            seen = []
            while start["seq"] + len(seen) < CLIENTS * EACH:
                event = await client.notification("event")
                seen.append((event["seq"], event["body"]["by"], event["body"]["line"]))
            return start["seq"], seen, [result["seq"] for result in sent]

    tokens = [server.token(f"person-{k}", "room:*=read,send") for k in range(CLIENTS)]
    people = await gather(*(person(k) for k in range(CLIENTS)))
    async with connected(server) as late:
        log = (await late.call("history", entity=entity, limit=1000))["events"]
    conversation = [(event["seq"], event["body"]["by"], event["body"]["line"]) for event in log]
    assert [seq for seq, _, _ in conversation] == list(range(1, CLIENTS * EACH + 1))
    for k, (came_at, seen, acknowledged) in enumerate(people):
        assert seen == conversation[came_at:]
        mine = [(seq, line) for seq, by, line in conversation if by == k]
        assert mine == list(zip(acknowledged, range(1, EACH + 1), strict=True))
    assert min(came_at for came_at, _, _ in people) < CLIENTS * EACH / 2, "nobody was subscribed early enough to see it live"
