// A broadcast server on ws. The frame is built once, by the function that ws exports for it, and written to each socket as
// one buffer: client.send() would build it again and write its two parts separately. Without compression, which is the
// default of ws, send() does no more than that for a message.
import { createServer } from 'node:http';
import { WebSocketServer, Sender } from 'ws';

const [listen, control] = process.argv.slice(2).map((addr) => {
  const at = addr.lastIndexOf(':');
  return { host: addr.slice(0, at), port: Number(addr.slice(at + 1)) };
});

const http = createServer();
const wss = new WebSocketServer({ server: http, perMessageDeflate: false, skipUTF8Validation: true });
wss.on('connection', (client) => client.on('error', () => {})); // 'close' follows, and wss removes the client
http.listen({ ...listen, backlog: 4096 });

function broadcast(message) {
  const frame = Buffer.concat(Sender.frame(message, { fin: true, opcode: 1, mask: false, readOnly: true }));
  for (const client of wss.clients) {
    if (client.readyState === client.OPEN) client._socket.write(frame);
  }
}

// The control port, as described in peer.go.
createServer((request, response) => {
  if (request.url === '/trim') {
    globalThis.gc();
    globalThis.gc();
    response.end();
  } else if (request.method === 'GET') {
    response.end(JSON.stringify({ subscribers: wss.clients.size }));
  } else {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      broadcast(Buffer.concat(parts));
      response.end();
    });
  }
}).listen(control);
