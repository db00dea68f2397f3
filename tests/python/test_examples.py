"""The examples in docs/protocol.md work as written. Each is quoted here; a quote that is no longer on the page fails."""

import json
import re

import pytest
from harness.client import connected, open_client, refusal
from harness.schema import DOCS

PAGE = (DOCS / "protocol.md").read_text()
# The text with its line breaks removed.
PROSE = " ".join(PAGE.split())


def quoted(text):
    assert text in PROSE, f"docs/protocol.md no longer has `{text}`"
    return text


def members(example):
    """The member names in an example whose values are left out, and those written as `"name"?`, which are optional."""
    names = re.findall(r'"(\w+)"(\??)\s*[:,}]', example)
    return {name for name, _ in names}, {name for name, optional in names if optional}


def fences():
    return [line for fence in re.findall(r"```json\n(.*?)```", PAGE, re.S) for line in re.split(r"\n(?=\{)", fence.strip())]


async def test_the_result_of_connect_has_the_members_of_the_example(server, name):
    example = json.loads(fences()[0].replace("…", "x"))
    token = server.token("alice", "room:*=read,send")
    subscriptions = [{"entity": f"room:{name}"}, {"entity": "castle:x"}]
    async with connected(server, params={"token": token, "subscriptions": subscriptions, "presence": [{"entity": f"room:{name}"}], "version": "test/1"}) as client:
        hello = client.hello
        # Unlike the example's, this session has not taken over another.
        assert set(hello) == set(example) - {"resumed"}
        assert set(hello["limits"]) == set(example["limits"])
        assert hello["limits"] == example["limits"], "the example shows the defaults"
        assert hello["user"] == example["user"] and hello["server"].split("/")[0] == "greenroom"
        fine, refused = hello["subscriptions"]
        assert set(fine) == set(example["subscriptions"][0]) and fine["result"]["seq"] == 0
        assert set(refused) == set(example["subscriptions"][1]) and refused["error"]["code"] == -32004


async def test_the_two_results_of_subscribe(server, codec, name):
    with_events, with_snapshot = (json.loads(re.sub(r"\[Event, …\]", "[]", line).replace("{…}", "{}").replace("…", "x")) for line in fences()[1:3])
    async with connected(server, codec) as client:
        first = await client.call("subscribe", entity=f"room:{name}", presence=True)
        assert set(first) == set(with_snapshot) | {"presence"} and first["reason"] == with_snapshot["reason"]
        assert first["presence"] == {"count": 0, "members": []}
        again = await client.call("subscribe", entity=f"room:{name}", after={"epoch": first["epoch"], "seq": 0})
        assert set(again) == set(with_events)
        other = await client.call("subscribe", entity=f"room:{name}", after={"epoch": "another", "seq": 0})
        assert other["reason"] == "epoch_changed"


ROOM = [
    # op, its body as the page shows it, what fills in the omitted parts, the message afterwards
    ("post", '`{"text": "hi"}`', {}, {"body": {"text": "hi"}}),
    ("edit", '`{"seq": 12, "body": {…}}`', {"body": {"text": "hello"}}, {"body": {"text": "hello"}, "edited_at": int}),
    ("react", '`{"seq": 12, "emoji": "👍", "remove"?: true}`', {"remove": False}, {"reactions": {"👍": ["alice"]}}),
    ("react", '`{"seq": 12, "emoji": "👍", "remove"?: true}`', {"remove": True}, {}),
    ("delete", '`{"seq": 12}`', {}, {"deleted": True}),
]


async def test_the_ops_of_a_room(server, codec, name):
    room = f"room:{name}"
    async with connected(server, codec, {"token": server.token("alice")}) as client:
        await client.call("subscribe", entity=room)
        # The message in the examples is number 12.
        for n in range(1, 12):
            await client.call("send", entity=room, type="post", body={"text": f"before {n}"}, n=n)
        for _ in range(11):
            await client.notification("event")
        for n, (op, example, filled, expected) in enumerate(ROOM, 12):
            body = json.loads(quoted(example).strip("`").replace("{…}", "{}").replace('"remove"?', '"remove"')) | filled
            sent = await client.call("send", entity=room, type=op, body=body, n=n)
            assert sent["seq"] == n
            event = await client.notification("event")
            assert set(event) == members(quoted('`{"entity", "seq", "at", "from", "type", "body", "tag"?, "deleted"?: true}`'))[0] - {"tag", "deleted"}
            assert (event["type"], event["body"], event["from"]) == (op, body, "alice")
            message = (await client.call("read", entity=room))["state"]["messages"][-1]
            for member, value in expected.items():
                assert isinstance(message[member], value) if isinstance(value, type) else message[member] == value
            known, _ = members(quoted('`{"seq", "at", "from", "body", "edited_at"?, "deleted"?: true, "reactions"?: {"👍": ["alice"]}}`'))
            assert set(message) <= known
        assert not message.get("reactions") and message["deleted"] is True


DOCUMENT = [
    ("set", '`{"path": "/a", "value": …}`', {"path": "/a", "value": [1]}, {"a": [1]}, None),
    ("set", 'path `""` replaces the document', {"path": "", "value": {"b": 1}}, {"b": 1}, None),
    ("set", "replaces the existing value, including an element of an array", {"path": "/b", "value": [1, 2]}, {"b": [1, 2]}, None),
    ("set", "replaces the existing value, including an element of an array", {"path": "/b/0", "value": 9}, {"b": [9, 2]}, None),
    ("set", "at the end of an array (`-` or its length) appends an element", {"path": "/b/-", "value": 3}, {"b": [9, 2, 3]}, None),
    ("set", "at the end of an array (`-` or its length) appends an element", {"path": "/b/3", "value": 4}, {"b": [9, 2, 3, 4]}, None),
    ("set", "replaces the existing value, including an element of an array", {"path": "/b", "value": 1}, {"b": 1}, None),
    ("increment", '`{"path": "/likes", "by": 1}`', {"path": "/likes", "by": 1}, {"b": 1, "likes": 1}, 1),
    ("increment", "`by` is a number", {"path": "/likes", "by": -0.5}, {"b": 1, "likes": 0.5}, 0.5),
    ("merge", "an RFC 7386 merge patch", {"b": None, "c": {"d": True}}, {"likes": 0.5, "c": {"d": True}}, None),
    ("patch", "an RFC 6902 JSON Patch array", [{"op": "test", "path": "/c/d", "value": True}, {"op": "move", "from": "/c/d", "path": "/e"}], {"likes": 0.5, "c": {}, "e": True}, None),
]

REFUSED = [
    ("unknown_op", "paint", {}),
    ("invalid_body", "increment", {"path": "/likes"}),
    ("patch_failed", "patch", [{"op": "add", "path": "/new", "value": 1}, {"op": "remove", "path": "/missing"}]),
    ("test_failed", "patch", [{"op": "test", "path": "/e", "value": False}]),
    ("not_a_number", "increment", {"path": "/c", "by": 1}),
]


async def test_the_ops_of_a_document(server, codec, name):
    entity, n = f"doc:{name}", 0
    async with connected(server, codec) as client:
        assert (await client.call("read", entity=entity))["state"] == {}
        for op, example, body, state, result in DOCUMENT:
            quoted(example)
            n += 1
            sent = await client.call("send", entity=entity, type=op, body=body, n=n)
            assert sent.get("result") == result
            assert (await client.call("read", entity=entity))["state"] == state
        for reason, op, body in REFUSED:
            quoted(f"`{reason}`")
            n += 1
            refused = await refusal(client.call("send", entity=entity, type=op, body=body, n=n))
            assert (refused.number, refused.code, refused.data["reason"]) == (-32010, "rejected", reason)
            again = await client.call("read", entity=entity)
            assert (again["state"], again["seq"]) == (state, len(DOCUMENT))
        conflict = await refusal(client.call("send", entity=entity, type="set", body={"path": "/x", "value": 1}, n=n + 1, if_seq=2))
        assert (conflict.code, conflict.data["seq"]) == ("conflict", len(DOCUMENT))


async def test_signals_and_presence_reach_other_subscribers(server, codec, name):
    entity = f"room:{name}"
    async with connected(server, codec, {"token": server.token("alice")}) as alice, connected(server, codec, {"token": server.token("bob")}) as bob:
        await bob.call("subscribe", entity=entity, presence=True)
        await alice.call("subscribe", entity=entity)
        await alice.notify("signal", entity=entity, type="typing", body={"on": True}, key="typing")
        required, optional = members(quoted('`{"entity", "from", "type", "body", "key"?}`'))
        signal = await bob.notification("signal")
        assert set(signal) == required and optional == {"key"}
        assert (signal["from"], signal["body"], signal["key"]) == ("alice", {"on": True}, "typing")
        assert (await alice.call("presence", entity=entity, action="enter", meta={"mood": "fine"})) == {"count": 1}
        change = await bob.notification("presence")
        member = {"user": "alice", "meta": {"mood": "fine"}, "sessions": 1}
        assert change == {"entity": entity, "joined": [member], "count": 1}
        assert (await bob.call("presence", entity=entity)) == {"count": 1, "members": [member]}
        await alice.call("presence", entity=entity, action="enter", meta={})
        assert (await bob.notification("presence"))["updated"] == [{**member, "meta": {}}]
        await alice.socket.close()
        assert await bob.notification("presence") == {"entity": entity, "left": ["alice"], "count": 0}
        assert not alice.kept, "a signal does not come back to its sender"


@pytest.mark.parametrize("op", [("read", {}), ("history", {}), ("subscribe", {})])
async def test_the_capabilities_of_the_example(make_server, op):
    capabilities = json.loads(quoted('`{"room:*": ["read", "send"], "doc:plan-*": ["read"]}`').strip("`"))
    closed = "".join(f'[kinds.{kind}]\nbehaviour = "{behaviour}"\ndefault_permissions = []\n' for kind, behaviour in (("room", "room"), ("doc", "document")))
    secret = "a secret of thirty-two bytes, or more"
    server = make_server(f'[auth]\nsecret = "{secret}"\n{closed}', store="memory")
    token = server.token("alice", *(f"{pattern}={','.join(names)}" for pattern, names in capabilities.items()), secret=secret)
    method, params = op
    async with connected(server, params={"token": token}) as client:
        for allowed in ("room:any", "doc:plan-7"):
            await client.call(method, entity=allowed, **params)
        assert (await refusal(client.call(method, entity="doc:other", **params))).code == "forbidden"
        assert (await client.call("send", entity="room:any", type="post", body={}, n=1))["seq"] == 1
        assert (await refusal(client.call("send", entity="doc:plan-7", type="merge", body={}, n=2))).code == "forbidden"


async def test_the_error_table_is_the_one_of_openrpc(server):
    table = re.findall(r"^\| (-32\d{3}) \| `(\w+)` \|", PAGE, re.M)
    document = json.loads((DOCS / "openrpc.json").read_text())["components"]["errors"]
    assert {(str(error["code"]), name) for name, error in document.items()} == set(table)
    async with open_client(server) as client:
        refused = await refusal(client.call("ping"))
        assert (str(refused.number), refused.code) in table
