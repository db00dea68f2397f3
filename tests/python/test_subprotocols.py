"""Both codecs carry the same structure, and a client chooses between them as RFC 6455 specifies."""

import pytest
from harness.client import JSON, MSGPACK, connected, gather, open_client
from websockets.exceptions import InvalidStatus

VALUES = [None, True, 0, -1, 2**53 - 1, 0.5, -1e-9, "", "ä\u0000\u2028🎭", [], {}, [[{"a": [None]}]], {"": {"/~": 1}}]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(None, None), ([JSON], JSON), ([MSGPACK], MSGPACK), (["chat", MSGPACK], MSGPACK), ([JSON, MSGPACK], JSON), ([MSGPACK, JSON], MSGPACK)],
)
async def test_the_first_known_subprotocol_is_chosen(server, offered, chosen):
    async with open_client(server, offered) as client:
        assert client.socket.subprotocol == chosen
        assert "session" in await client.call("connect")


async def test_unknown_subprotocols_alone_are_refused(server):
    with pytest.raises(InvalidStatus) as refused:
        async with open_client(server, ["chat", "greenroom.v2.json"]):
            pass
    assert refused.value.response.status_code == 400
    assert JSON in refused.value.response.body.decode()


async def test_each_codec_reads_what_the_other_writes(server, name):
    entity = f"doc:{name}"
    async with connected(server, JSON) as text, connected(server, MSGPACK) as binary:
        await gather(text.call("subscribe", entity=entity), binary.call("subscribe", entity=entity))
        for n, value in enumerate(VALUES, 1):
            for writer in (text, binary):
                await writer.call("send", entity=entity, type="set", body={"path": "/v", "value": value}, n=n)
            for reader in (text, binary):
                events = [await reader.notification("event") for _ in "tb"]
                assert [event["body"]["value"] for event in events] == [value, value]
                assert [event["from"] for event in events] == [text.hello["user"], binary.hello["user"]]
                assert (await reader.call("read", entity=entity))["state"] == {"v": value}


@pytest.mark.parametrize(("codec", "frame", "reason"), [(JSON, b"{}", "text frames only"), (MSGPACK, "{}", "binary frames only")])
async def test_the_wrong_frame_type_closes_the_connection(server, codec, frame, reason):
    async with connected(server, codec) as client:
        await client.socket.send(frame)
        assert await client.closed() == (1003, reason)
