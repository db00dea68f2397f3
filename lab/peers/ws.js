// `ws`: rooms as sets of sockets. Listens on 127.0.0.1:$PORT and speaks text frames: `s ROOM`
// subscribes and is answered `ok`; `p ROOM BODY` sends `BODY` to everybody who is subscribed to
// `ROOM`.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const rooms = new Map();
const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });

server.on("connection", (socket) => {
  let joined;
  socket.on("message", (data) => {
    const text = data.toString();
    if (text.startsWith("s ")) {
      const name = text.slice(2);
      if (!rooms.has(name)) rooms.set(name, new Set());
      joined = rooms.get(name);
      joined.add(socket);
      socket.send("ok");
    } else if (text.startsWith("p ")) {
      const space = text.indexOf(" ", 2);
      const body = text.slice(space + 1);
      for (const member of rooms.get(text.slice(2, space)) ?? []) member.send(body);
    }
  });
  socket.on("close", () => joined?.delete(socket));
  socket.on("error", () => socket.terminate());
});

// Node listens with a queue of 511, and thousands come at once.
http.listen({ host: "127.0.0.1", port: Number(process.env.PORT), backlog: 4096 });
