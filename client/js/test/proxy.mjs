// A TCP proxy that can refuse, stall and cut.

import net from "node:net";
import { after } from "node:test";

export async function startProxy(target) {
  const { hostname, port } = new URL(target);
  const pairs = new Set();
  const proxy = {
    refuse: null, // function of a request's head: the answer in its place, or null
    refusedAt: undefined, // performance.now() of the first refusal
    stalled: false, // nothing passes
    deaf: false, // what clients send after their request does not pass
    attempts: [], // performance.now() of each connection
    cut() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    },
    stall(on) {
      proxy.stalled = on;
      for (const pair of pairs) for (const socket of pair) on ? socket.pause() : socket.resume();
    },
  };
  const server = net.createServer((down) => {
    proxy.attempts.push(performance.now());
    const up = net.connect(port, hostname);
    const pair = [down, up];
    pairs.add(pair);
    for (const [from, to] of [pair, [up, down]]) {
      from.on("error", () => {});
      from.on("close", () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
    let head = "";
    down.on("data", (data) => {
      if (head !== null) {
        head += data.toString("latin1");
        if (!head.includes("\r\n\r\n")) return;
        const answer = proxy.refuse?.(head);
        if (answer) {
          proxy.refusedAt ??= performance.now();
          head = "";
          return down.end(answer);
        }
        up.write(head, "latin1");
        head = null;
        up.pipe(down);
        return;
      }
      if (!proxy.deaf) up.write(data);
    });
    if (proxy.stalled) pair.forEach((socket) => socket.pause());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    server.close();
    proxy.cut();
  });
  proxy.url = `ws://127.0.0.1:${server.address().port}/stream`;
  proxy.close = () => {
    server.close();
    proxy.cut();
  };
  return proxy;
}

/** Refuses what asks for an upgrade, as a proxy that does not know it. */
export const noUpgrade = (head) => (/^upgrade:/im.test(head) ? "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" : null);
