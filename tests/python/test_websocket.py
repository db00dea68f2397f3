"""RFC 6455 as spoken by a third-party implementation."""

import asyncio
import contextlib
import json
import urllib.request

import pytest
from harness.client import JSON, MSGPACK, Client, connected, open_client, refusal
from harness.server import AUTH
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


async def test_compression_is_declined_and_the_connection_works(server, codec):
    async with connect(server.socket, subprotocols=[codec], compression="deflate") as socket:
        assert "permessage-deflate" in socket.request.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        assert "session" in await Client(socket).call("connect")


async def test_fragments_make_one_message(server, codec):
    async with connected(server, codec) as client:
        whole = client.encode(PING)
        for size in (1, 7, len(whole)):
            await client.socket.send(whole[start : start + size] for start in range(0, len(whole), size))
            assert (await client.receive())["id"] == 1


async def test_a_ping_between_fragments_is_answered_at_once(server, codec):
    async with connected(server, codec) as client:
        whole = client.encode(PING)
        pongs = []

        async def fragments():
            yield whole[:5]
            latency = await (await client.socket.ping(b"amid"))
            pongs.append(latency)
            yield whole[5:]

        await client.socket.send(fragments())
        assert (await client.receive())["id"] == 1
        assert len(pongs) == 1


@pytest.mark.parametrize("payload", [b"", b"\x00\xff", b"x" * 125])
async def test_a_pong_returns_the_payload_of_the_ping(server, payload):
    async with connected(server) as client:
        # `websockets` resolves this only for a pong with the same payload.
        await (await client.socket.ping(payload))


async def test_an_unsolicited_pong_is_ignored(server):
    async with connected(server) as client:
        await client.socket.pong(b"nobody asked")
        assert "now" in await client.call("ping")


async def test_a_clients_close_is_answered(server, codec):
    async with connected(server, codec) as client:
        await client.socket.close(1000, "done")
        assert client.socket.protocol.close_rcvd.code == 1000
        assert client.socket.protocol.close_rcvd_then_sent is False


async def test_a_message_at_the_limit_is_accepted_and_a_longer_one_closes(server, codec, name):
    async with connected(server, codec) as client:
        most = client.hello["limits"]["max_message_bytes"]
        fits = sized(client, most, name)
        assert len(fits) == most
        await client.socket.send(fits)
        assert (await client.receive())["error"]["data"]["code"] == "too_large"
        await client.socket.send(sized(client, most + 1, name))
        assert (await client.closed())[0] == 1009


async def test_fragments_over_the_limit_together_close(server, codec, name):
    async with connected(server, codec) as client:
        whole = sized(client, client.hello["limits"]["max_message_bytes"] + 1, name)
        await client.socket.send([whole[:40_000], whole[40_000:]])
        assert (await client.closed())[0] == 1009


def sized(client, size, name):
    """An encoded request that stores a text, of exactly this many bytes."""

    def request(text):
        params = {"entity": f"doc:{name}", "type": "set", "n": 1, "body": {"path": "", "value": text}}
        return client.encode({"jsonrpc": "2.0", "id": 1, "method": "send", "params": params})

    # Long enough from the start that MessagePack gives both texts a header of the same length.
    text = "x" * (size - 2_000)
    return request(text + "x" * (size - len(request(text))))


async def test_text_that_is_not_utf8_closes(server):
    async with connected(server) as client:
        await client.socket.send(b'{"\xff": 1}', text=True)
        assert (await client.closed())[0] == 1007


async def test_a_bad_token_is_refused_and_closes(server, codec):
    async with open_client(server, codec) as client:
        assert (await refusal(client.call("connect", token="nonsense"))).code == "unauthorized"
        assert await client.closed() == (4003, "unauthorized")


async def test_an_expired_token_is_refused_as_expired(server):
    # Its warning is due at once, and connections are checked once a second.
    token = server.token("ann", ttl="3s")
    async with connected(server, params={"token": token}) as client:
        assert client.hello["user"] == "ann"
        goodbye = await client.notification("goodbye")
        assert goodbye["reason"] == "token_expiring" and goodbye["closes_in_ms"] <= 3000
        assert await client.closed() == (4002, "token_expired")
    async with open_client(server) as client:
        assert (await refusal(client.call("connect", token=token))).code == "token_expired"
        assert await client.closed() == (4002, "token_expired")


async def test_a_fresh_token_keeps_the_connection(server, codec):
    async with connected(server, codec, params={"token": server.token("ann", ttl="4s")}) as client:
        assert (await client.notification("goodbye"))["reason"] == "token_expiring"
        fresh = await client.call("connect", token=server.token("ann"))
        assert fresh["expires_at"] > client.hello["expires_at"] + 3_000_000
        assert fresh["session"] == client.hello["session"]
        other = await refusal(client.call("connect", token=server.token("bob")))
        assert other.code == "unauthorized"
        assert "now" in await client.call("ping")


async def test_clients_that_never_connect_or_fall_silent_are_closed(make_server):
    server = make_server('[socket]\nconnect_timeout = "1s"\nping_interval = "1s"\nidle_timeout = "3s"\n', store="memory")
    async with open_client(server) as client:
        assert await client.closed() == (4001, "connect_timeout")
    async with connected(server) as client:
        # From here on the client answers no ping, as if its machine were asleep.
        client.socket.protocol.recv_frame, answered = swallow_pings(client.socket.protocol)
        assert await client.closed() == (4010, "ping_timeout")
        assert answered, "the server closed without having pinged"


def swallow_pings(protocol):
    receive, swallowed = protocol.recv_frame, []

    def recv_frame(frame):
        if frame.opcode.name == "PING":
            swallowed.append(frame)
        else:
            receive(frame)

    return recv_frame, swallowed


async def test_a_client_that_keeps_exceeding_a_limit_is_closed(make_server, codec):
    config = "[limits]\nrequests_per_second = 1\nrequests_burst = 5\nabuse_after = 4\n"
    async with connected(make_server(config, store="memory"), codec) as client:
        for _ in range(4):
            await client.call("ping")
        refused = await refusal(client.call("ping"))
        assert (refused.code, refused.data["reason"]) == ("rate_limited", "requests")
        assert 0 < refused.data["retry_after_ms"] <= 1000
        closed = asyncio.ensure_future(client.closed())
        # Keep sending without waiting, for as long as the connection is open.
        with contextlib.suppress(ConnectionClosed):
            while not closed.done():
                await client.request("ping")
                await asyncio.wait([closed], timeout=0.01)
        assert await closed == (4008, "rate_limited")


async def test_stopping_says_goodbye_and_exits_cleanly(make_server, codec):
    server = make_server(store="memory")
    async with connected(server, codec) as client:
        stopped = asyncio.get_running_loop().run_in_executor(None, server.terminate)
        goodbye = await client.notification("goodbye")
        assert goodbye["reason"] == "shutting_down" and goodbye["reconnect_after_ms"] >= 0
        assert await client.closed() == (1001, "shutting_down")
        assert await stopped == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://elsewhere.example"}, 403), ({"Origin": "null"}, 403), ({"Sec-WebSocket-Version": "12"}, 426), ({"Upgrade": "h2c"}, 426)],
)
async def test_an_invalid_handshake_gets_an_http_response(server, headers, status):
    with pytest.raises(InvalidStatus) as refused:
        async with connect(server.socket, create_connection=replacing(headers)):
            pass
    assert refused.value.response.status_code == status
    assert refused.value.response.body.strip()


def replacing(headers):
    """A connection class whose handshake has these headers in place of the right ones."""
    class Replacing(ClientConnection):
        async def handshake(self, *arguments, **options):
            request = self.protocol.connect()
            for name, value in headers.items():
                request.headers.pop(name, None)
                request.headers[name] = value
            self.protocol.connect = lambda: request
            await super().handshake(*arguments, **options)

    return Replacing


async def test_the_pages_own_origin_may_connect(server):
    async with open_client(server, origin=server.page) as client:
        assert "session" in await client.call("connect")


def test_plain_http_on_the_websocket_path_gets_an_explanation(server):
    status, body = server.get(f"{server.page}/ws")
    assert status == 426 and "WebSocket" in body
    assert server.get(f"{server.page}/nothing")[0] == 404
    with urllib.request.urlopen(f"{server.page}/", timeout=10) as page:
        assert page.headers.get_content_type() == "text/html"


async def test_hostile_clients_cost_themselves(server):
    """A neighbour's connection keeps working after each of them."""
    async with connected(server) as neighbour:
        host, port = server.listen.split(":")
        for bytes_sent in (b"\x00" * 4096, b"GET /ws HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, json.dumps(PING).encode()):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(bytes_sent)
            writer.write_eof()
            try:
                answer = await reader.read()
            except ConnectionResetError:
                answer = b""
            assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
            writer.close()
            assert "now" in await neighbour.call("ping")
