"""Both codecs carry the same structure, and a client chooses between them as RFC 6455 says."""

import pytest
from harness.client import JSON, MSGPACK, connected, gather, open_client
from websockets.exceptions import InvalidStatus

VALUES = [None, True, 0, -1, 2**53 - 1, 0.5, -1e-9, "", "ä\u0000\u2028🎭", [], {}, [[{"a": [None]}]], {"": {"/~": 1}}]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(None, None), ([JSON], JSON), ([MSGPACK], MSGPACK), (["chat", MSGPACK], MSGPACK), ([JSON, MSGPACK], JSON), ([MSGPACK, JSON], MSGPACK)],
)
async def test_the_first_known_one_is_taken(server, offered, chosen):
    async with open_client(server, offered) as client:
        assert client.socket.subprotocol == chosen
        assert "session" in await client.call("connect")


async def test_only_unknown_ones_are_refused_with_the_known(server):
    with pytest.raises(InvalidStatus) as refused:
        async with open_client(server, ["chat", "greenroom.v2.json"]):
            pass
    assert refused.value.response.status_code == 400
    assert JSON in refused.value.response.body.decode()


async def test_what_one_codec_writes_the_other_reads(server, name):
    entity = f"doc:{name}"
    async with connected(server, JSON) as text, connected(server, MSGPACK) as binary:
        await gather(text.call("subscribe", entity=entity), binary.call("subscribe", entity=entity))
        for n, value in enumerate(VALUES, 1):
            for writer in (text, binary):
                await writer.call("send", entity=entity, type="set", body={"path": "/v", "value": value}, n=n)
            for reader in (text, binary):
                heard = [await reader.notification("event") for _ in "tb"]
                assert [event["body"]["value"] for event in heard] == [value, value]
                assert [event["from"] for event in heard] == [text.hello["user"], binary.hello["user"]]
                assert (await reader.call("read", entity=entity))["state"] == {"v": value}


@pytest.mark.parametrize(("codec", "frame", "reason"), [(JSON, b"{}", "text frames only"), (MSGPACK, "{}", "binary frames only")])
async def test_the_other_kind_of_frame_closes(server, codec, frame, reason):
    async with connected(server, codec) as client:
        await client.socket.send(frame)
        assert await client.closed() == (1003, reason)
