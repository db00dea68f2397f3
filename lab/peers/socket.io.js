// Socket.IO over WebSocket alone, as its documentation says rooms are used. Listens on
// 127.0.0.1:$PORT. The event `s` with a room's name subscribes and is acknowledged; `p` with a
// room's name and a body sends the body to the room as `m`.

import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.on("s", (room, done) => {
    socket.join(room);
    done();
  });
  socket.on("p", (room, body) => io.to(room).emit("m", body));
});

// Node listens with a queue of 511, and thousands come at once.
http.listen({ host: "127.0.0.1", port: Number(process.env.PORT), backlog: 4096 });
