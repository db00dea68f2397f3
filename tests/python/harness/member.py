"""A client process that enters a room, prints that it has, and stays until killed: `python member.py URL ROOM TOKEN`."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect


async def stay(url, room, token):
    async with connect(url, subprotocols=["greenroom.v1.json"], compression=None) as socket:
        for id, (method, params) in enumerate([("connect", {"token": token}), ("presence", {"entity": room, "action": "enter"})]):
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            answer = json.loads(await socket.recv())
            assert "result" in answer, answer
        print("here", flush=True)
        await socket.wait_closed()


if __name__ == "__main__":
    asyncio.run(stay(*sys.argv[1:]))
