"""uWebSockets (C++, as the Python package socketify ships it), with its own publish and subscribe.

Listens on 127.0.0.1:$PORT and speaks text frames: `s ROOM` subscribes and is answered `ok`; `p ROOM BODY` sends `BODY` to
everybody who is subscribed to `ROOM`. Python sees each message once; the fan-out is C++ alone.
"""

import os

from socketify import App, AppListenOptions, OpCode


def message(socket, text, opcode):
    if text.startswith("s "):
        socket.subscribe(text[2:])
        socket.send("ok", OpCode.TEXT)
    elif text.startswith("p "):
        _, room, body = text.split(" ", 2)
        app.publish(room, body, OpCode.TEXT)


app = App()
app.ws("/*", {"message": message, "max_backpressure": 16 * 1024 * 1024, "idle_timeout": 120})
app.listen(AppListenOptions(port=int(os.environ["PORT"]), host="127.0.0.1"))
# The loop of C alone: socketify's own runs asyncio's beside it, and spins to serve both.
app.loop.uv_loop.run()
