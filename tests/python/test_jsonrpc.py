"""JSON-RPC 2.0 as seen by a client that was written from the JSON-RPC specification."""

import pytest
from harness.client import connected, open_client, refusal


@pytest.mark.parametrize("id", [0, 7, -3, 2**53 - 1, "a", "", "ünï-\u2028", "x" * 128])
async def test_an_answer_carries_the_id_of_its_request(server, codec, id):
    async with connected(server, codec) as client:
        await client.send({"jsonrpc": "2.0", "id": id, "method": "ping"})
        answer = await client.receive()
        assert answer["id"] == id and type(answer["id"]) is type(id)
        assert answer["jsonrpc"] == "2.0" and "error" not in answer


async def test_a_request_without_an_id_is_executed_and_not_answered(server, codec, name):
    async with connected(server, codec) as client:
        await client.notify("send", entity=f"room:{name}", type="post", body={"text": "quietly"}, n=1)
        await client.notify("send", entity="nosuch:thing", type="post", body={}, n=2)
        # Only the refused request is reported, in a notification that may arrive before or after
        # the next answer.
        await client.send({"jsonrpc": "2.0", "id": "after", "method": "ping"})
        answer, refused = sorted([await client.receive(), await client.receive()], key=lambda message: "method" in message)
        assert answer["id"] == "after"
        assert refused["method"] == "refused"
        report = refused["params"]
        assert (report["method"], report["entity"], report["count"]) == ("send", "nosuch:thing", 1)
        assert report["error"]["data"]["code"] == "unknown_kind"
        # Sent again with an id, it returns the first outcome, so it was executed.
        again = await client.call("send", entity=f"room:{name}", type="post", body={"text": "quietly"}, n=1)
        assert again["seq"] == 1 and again["duplicate"] is True


async def test_answers_find_their_requests_whatever_their_order(server, codec, name):
    async with connected(server, codec) as client:
        asked = [await client.request("send", {"entity": f"doc:{name}-{k}", "type": "increment", "body": {"path": "/k", "by": k}, "n": k}) for k in range(1, 21)]
        results = [await client.answer(id) for id in reversed(asked)]
        assert [result["result"] for result in results] == list(range(20, 0, -1))


@pytest.mark.parametrize(
    ("message", "number", "code", "id"),
    [
        ([], -32600, "invalid_request", None),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32600, "invalid_request", None),
        ("ping", -32600, "invalid_request", None),
        (None, -32600, "invalid_request", None),
        ({}, -32600, "invalid_request", None),
        ({"id": 1, "method": "ping"}, -32600, "invalid_request", 1),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, -32600, "invalid_request", 1),
        ({"jsonrpc": 2.0, "id": 1, "method": "ping"}, -32600, "invalid_request", 1),
        ({"jsonrpc": "2.0", "id": 1}, -32600, "invalid_request", 1),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, -32600, "invalid_request", 1),
        ({"jsonrpc": "2.0", "id": {"a": 1}, "method": "ping"}, -32600, "invalid_request", None),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, -32600, "invalid_request", None),
        ({"jsonrpc": "2.0", "id": "x" * 129, "method": "ping"}, -32600, "invalid_request", None),
        ({"jsonrpc": "2.0", "id": 1, "method": "pong"}, -32601, "method_not_found", 1),
        ({"jsonrpc": "2.0", "id": "s", "method": "Ping"}, -32601, "method_not_found", "s"),
        ({"jsonrpc": "2.0", "id": 1, "method": "read", "params": ["room:a"]}, -32602, "invalid_params", 1),
        ({"jsonrpc": "2.0", "id": 1, "method": "read", "params": {}}, -32602, "invalid_params", 1),
        ({"jsonrpc": "2.0", "id": 1, "method": "read", "params": {"entity": "room:a", "more": 1}}, -32602, "invalid_params", 1),
        ({"jsonrpc": "2.0", "id": 1, "method": "read", "params": {"entity": "no colon"}}, -32602, "invalid_params", 1),
        ({"jsonrpc": "2.0", "id": 1, "method": "history", "params": {"entity": "room:a", "limit": 1001}}, -32602, "invalid_params", 1),
        ({"jsonrpc": "2.0", "id": 1, "method": "read", "params": {"entity": "castle:a"}}, -32004, "unknown_kind", 1),
    ],
)
async def test_bad_requests_are_explained_and_the_connection_stays_open(server, codec, message, number, code, id):
    async with connected(server, codec) as client:
        await client.send(message)
        answer = await client.receive()
        assert answer["id"] == id and "result" not in answer
        assert (answer["error"]["code"], answer["error"]["data"]["code"]) == (number, code)
        assert answer["error"]["message"]
        assert "now" in await client.call("ping")


@pytest.mark.parametrize("text,id", [("", None), ("{", None), ("nul", None), ('{"jsonrpc":"2.0","id":1,"method":"ping"} x', 1), ('{"id":"a","params":{]', "a"), ("[" * 100, None)])
async def test_text_that_is_not_json_is_a_parse_error(server, text, id):
    async with connected(server) as client:
        await client.socket.send(text)
        answer = await client.receive()
        assert answer["id"] == id and answer["error"]["code"] == -32700
        assert "now" in await client.call("ping")


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x81\xa1a", b"\x91" * 100, b"\xdf\xff\xff\xff\xff"])
async def test_bytes_that_are_not_messagepack_are_a_parse_error(server, frame):
    async with connected(server, "greenroom.v1.msgpack") as client:
        await client.socket.send(frame)
        answer = await client.receive()
        assert answer["id"] is None and answer["error"]["code"] == -32700
        assert "now" in await client.call("ping")


@pytest.mark.parametrize("method", ["subscribe", "unsubscribe", "read", "history", "presence"])
async def test_nothing_else_works_before_connect(server, codec, method):
    async with open_client(server, codec) as client:
        assert (await refusal(client.call(method, entity="room:a"))).code == "not_connected"
        assert "session" in await client.call("connect")
