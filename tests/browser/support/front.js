/** Serves a directory and passes everything else on to the server, for binaries that have no `serve --static` yet. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";

const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript" };

/** @returns {Promise<string>} the address of the page */
export async function front(t, server, directory) {
  const target = new URL(server.page);
  const own = createServer(async (incoming, response) => {
    const name = incoming.url === "/" ? "/index.html" : incoming.url;
    const file = await readFile(join(directory, name)).catch(() => null);
    if (file) return response.setHeader("Content-Type", TYPES[name.split(".").pop()]).end(file);
    const { method, url, headers } = incoming;
    const outgoing = request({ host: target.hostname, port: target.port, method, path: url, headers }, (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
    outgoing.on("error", () => response.writeHead(502).end());
    incoming.pipe(outgoing);
  });
  own.on("upgrade", ({ method, url, rawHeaders }, socket) => {
    const upstream = connect(Number(target.port), target.hostname);
    const lines = rawHeaders.flatMap((text, index) => (index % 2 ? [] : [`${text}: ${rawHeaders[index + 1]}`]));
    upstream.write([`${method} ${url} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
    socket.pipe(upstream).pipe(socket);
    for (const [one, other] of [[socket, upstream], [upstream, socket]]) one.on("error", () => other.destroy()).on("close", () => other.destroy());
  });
  own.listen(0, "127.0.0.1");
  await once(own, "listening");
  t.after(() => {
    own.close();
    own.closeAllConnections();
  });
  return `http://127.0.0.1:${own.address().port}/`;
}
