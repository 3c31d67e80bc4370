// A WebSocket server for tests, with a blank page and the client, for messages that the demo does not send.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { Raw } from './harness.js';

export class OwnServer {
  /** @param {import('node:http').Server} server @param {WebSocketServer} sockets @param {string} address */
  constructor(server, sockets, address) {
    this.server = server;
    this.sockets = sockets;
    this.address = address;
  }

  static async start() {
    const server = createServer((request, response) => {
      const script = request.url === '/keywire.js';
      response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
      response.end(script ? readFileSync(new URL('../../client/keywire.js', import.meta.url)) : '<!doctype html>');
    });
    const sockets = new WebSocketServer({
      server,
      maxPayload: 2 ** 30,
      handleProtocols: (offered) => offered.has('keywire.v1') && 'keywire.v1',
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    return new OwnServer(server, sockets, `http://127.0.0.1:${port}/`);
  }

  /** The next connection, accepted, with the head of its request. */
  async next() {
    const [socket, request] = await once(this.sockets, 'connection');
    const raw = new Raw(socket);
    raw.next(({ flag }) => flag === 'kw:ping').then(() => raw.send({ code: '00', msg: '', flag: 'kw:pong' }), () => {});
    return { raw, request };
  }

  stop() {
    this.sockets.close();
    this.server.close();
  }
}
