"""A generic JSON-RPC 2.0 client over WebSocket. It knows ids, answers, notifications and errors, but no methods."""

import asyncio
import itertools
import json
from collections import deque
from contextlib import asynccontextmanager

import msgpack
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from . import schema

JSON, MSGPACK = "greenroom.v1.json", "greenroom.v1.msgpack"


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.number, self.code, self.data = error["code"], error["data"]["code"], error["data"]


class Client:
    def __init__(self, socket):
        self.socket = socket
        self.codec = socket.subprotocol or JSON
        self._ids = itertools.count(1)
        self._answers = {}
        self._methods = {}
        self._notifications = deque()

    def encode(self, message):
        return msgpack.packb(message) if self.codec == MSGPACK else json.dumps(message, ensure_ascii=False)

    def decode(self, frame):
        if self.codec == MSGPACK:
            assert isinstance(frame, bytes), "MessagePack travels in binary frames"
            return msgpack.unpackb(frame)
        assert isinstance(frame, str), "JSON travels in text frames"
        return json.loads(frame)

    async def send(self, message):
        """Sends any message, unchecked."""
        await self.socket.send(self.encode(message))

    async def receive(self):
        """Returns the next message of any kind."""
        message = self.decode(await self.socket.recv())
        schema.check_message(message, self._methods.pop(message["id"], None) if message.get("id") is not None else None)
        return message

    async def request(self, method, params=None, id=None):
        """Sends a request and returns its id."""
        id = next(self._ids) if id is None else id
        message = {"jsonrpc": "2.0", "id": id, "method": method}
        if params is not None:
            message["params"] = params
        schema.check_request(message)
        self._methods[id] = method
        await self.send(message)
        return id

    async def answer(self, id):
        """Returns the result of the request with this id, or raises its error."""
        while id not in self._answers:
            self._keep(await self.receive())
        answer = self._answers.pop(id)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    async def call(self, method, **params):
        return await self.answer(await self.request(method, params))

    async def notify(self, method, **params):
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        schema.check_request(message)
        await self.send(message)

    async def notification(self, method):
        """Returns the params of the next notification, which must have this method."""
        while not self._notifications:
            self._keep(await self.receive())
        message = self._notifications.popleft()
        assert message["method"] == method, message
        return message["params"]

    async def closed(self):
        """Waits until the server closes and returns the code and the reason; messages that arrive before are kept."""
        try:
            while True:
                self._keep(await self.receive())
        except ConnectionClosed as closed:
            assert closed.rcvd, "the connection ended without a close frame"
            return closed.rcvd.code, closed.rcvd.reason

    @property
    def kept(self):
        """The notifications that no test has read yet."""
        return list(self._notifications)

    def _keep(self, message):
        if "method" in message:
            self._notifications.append(message)
        else:
            self._answers[message["id"]] = message


@asynccontextmanager
async def open_client(server, subprotocol=JSON, **options):
    """Opens a socket on which nothing has been sent yet."""
    offered = [subprotocol] if isinstance(subprotocol, str) else subprotocol
    options = {"compression": None, "close_timeout": 2, "ping_interval": None, **options}
    async with connect(server.socket, subprotocols=offered, **options) as socket:
        yield Client(socket)


@asynccontextmanager
async def connected(server, subprotocol=JSON, params=None, **options):
    """Connects a client; `hello` is the result of `connect`."""
    async with open_client(server, subprotocol, **options) as client:
        client.hello = await client.call("connect", **(params or {}))
        yield client


async def refusal(awaitable):
    """Returns the error that `awaitable` must raise."""
    try:
        result = await awaitable
    except RpcError as error:
        return error
    raise AssertionError(f"this should have been refused: {result}")


async def gather(*awaitables):
    """Waits for all of them; the first failure cancels the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in awaitables]
    return [task.result() for task in tasks]
