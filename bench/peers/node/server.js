// Node.js with ws: the same commands, the same bytes. ws turns Nagle's algorithm off.
import { createServer } from "node:http";
import { setImmediate as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";

/** As in the other bench servers. */
const PAUSE_EVERY = 16;
const PREFIX = '{"code":"00","msg":"';
const SUFFIX = '"}';

/** @type {Map<string, import("ws").WebSocket>} */
const users = new Map();

const payload = (number, key, size) =>
  (PREFIX + String(number).padStart(10, "0") + ` ${key} `).padEnd(size - SUFFIX.length, "x") + SUFFIX;

async function spread(name, count, size, keys) {
  for (let number = 0; number < count; number += 1) {
    if (name === "B") {
      // Encoded once: a string would be encoded at every send.
      const bytes = Buffer.from(payload(number, "*", size));
      for (const socket of users.values()) socket.send(bytes, { binary: false });
    } else {
      const key = `user${Math.floor(Math.random() * keys)}`;
      users.get(key)?.send(payload(number, key, size));
    }
    if ((number + 1) % PAUSE_EVERY === 0) await pause();
  }
}

function answer(text) {
  if (!text.startsWith("{")) return text;
  const { flag, body, id } = JSON.parse(text);
  return flag === "command" ? JSON.stringify({ code: "01", msg: "", data: body, id }) : "";
}

const { values: options } = parseArgs({
  options: { listen: { type: "string", default: "127.0.0.1:9100" }, threads: { type: "string", default: "1" } },
});
const [host, port] = options.listen.split(":");

const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (socket, request) => {
  const key = request.url.replace("/websocket/", "");
  users.set(key, socket);
  socket.on("message", (data) => {
    const text = data.toString();
    const command = /^([BP]) (\d+) (\d+)(?: (\d+))?$/.exec(text);
    if (command) void spread(command[1], Number(command[2]), Number(command[3]), Number(command[4] ?? 1));
    else socket.send(answer(text));
  });
  socket.on("error", () => {});
  socket.on("close", () => users.get(key) === socket && users.delete(key));
});
server.listen({ port: Number(port), host, backlog: 1024 });
