// The fallbacks: Server-Sent Events and long polling through proxies that block upgrades, and the way back.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { noUpgrade, startProxy } from "./proxy.mjs";
import { client, live, natsOf, startServer, until, warm } from "./server.mjs";

const CLASSES = `
[publish]
topics = [">"]
[[topic]]
match = "ord.>"
mode = "all"
history = 1000
`;

const server = await startServer(CLASSES);
const nc = await natsOf(server);
const noEvents = (head) => noUpgrade(head) ?? (/event-stream/.test(head) ? "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" : null);

describe("fallback", () => {
  for (const [transport, refuse] of [["sse", noUpgrade], ["poll", noEvents]]) {
    test(transport + " within a second of the refusal", async () => {
      const proxy = await startProxy(server.stream);
      proxy.refuse = refuse;
      const c = client(proxy.url);
      const seen = [];
      c.subscribe("px.A", (m) => seen.push(m.d));
      await live(c, "px.A");
      const took = performance.now() - proxy.refusedAt;
      assert.ok(took < 10_000, `after ${took} ms`);
      // On any machine: no wait between two attempts.
      assert.ok(!c.heard.status.some((s) => s.retryAt), JSON.stringify(c.heard.status));
      assert.equal(c.status.transport, transport);
      await until(() => {
        nc.publish("px.A", '"x"');
        return seen.includes("x");
      });
      c.subscribe(["px.B", "a,b"], (m) => seen.push(m.d)); // further topics, by another request
      await live(c, "px.B", "a,b");
      await until(() => {
        nc.publish("px.B", '"y"');
        nc.publish("a,b", '"z"');
        return seen.includes("y") && seen.includes("z");
      });
      assert.deepEqual(c.heard.lost, []);
      await assert.rejects(c.publish("px.A", 1), { code: 108 });
    });

    test(transport + ": the stream's address may have a query", async () => {
      const proxy = await startProxy(server.stream);
      proxy.refuse = refuse;
      const c = client(proxy.url + "?shop=1&lang=de");
      c.subscribe("px.Q", () => {});
      await live(c, "px.Q");
      const many = Array.from({ length: 500 }, (_, i) => "px.Q." + i); // as a form by POST
      c.subscribe(many, () => {});
      await live(c, "px.Q", ...many);
      assert.equal(c.status.transport, transport);
      assert.deepEqual(c.heard.error, []);
    });

    test(transport + ": nothing is lost or doubled over cuts, nor on the way back", async () => {
      const proxy = await startProxy(server.stream);
      proxy.refuse = refuse;
      const c = client(proxy.url, { upgradeInterval: 50 });
      const seen = [];
      const topic = "ord." + transport;
      const other = client(server.stream); // keeps the server's interest
      other.subscribe([topic, topic + ".*"], () => {});
      await warm(other, nc, topic, topic + ".x");
      c.subscribe([topic, topic + ".*"], (m) => m.k || m.d === "warm" || seen.push(m.d));
      await live(c, topic, topic + ".*");
      let n = 0;
      const burst = async () => {
        for (let i = 0; i < 50; i++) nc.publish(i % 2 ? topic : topic + ".x", String(n++));
        await nc.flush();
      };
      for (let round = 0; round < 3; round++) {
        await burst();
        proxy.cut();
        await burst();
        await until(() => c.status.state === "offline");
        c.connect();
        await live(c, topic);
        assert.equal(c.status.transport, transport);
      }
      proxy.refuse = null;
      await burst();
      await until(() => c.status.transport === "ws");
      await live(c, topic);
      await burst();
      await until(() => seen.length >= n, `${seen.length} of ${n}`);
      assert.deepEqual(seen, Array.from({ length: n }, (_, i) => i));
      assert.deepEqual(c.heard.lost, []);
    });
  }

  test("a payload may hold every separator of lines that JSON admits", async () => {
    for (const transport of ["sse", "poll"]) {
      const c = client(server.stream, { transports: [transport] });
      const seen = [];
      c.subscribe("px.line", (m) => seen.push(m.d));
      await live(c, "px.line");
      await until(() => {
        nc.publish("px.line", '"a\u2028b\u2029c\u0085d"'); // as they are, not as escapes
        return seen.includes("a\u2028b\u2029c\u0085d");
      });
      assert.equal(c.status.transport, transport);
      assert.ok(c.heard.status.every((s) => s.state !== "offline"), JSON.stringify(c.heard.status));
    }
  });

  test("a server that is away is no proxy that blocks", async () => {
    const proxy = await startProxy(server.stream);
    const c = client(proxy.url);
    c.subscribe("px.A", () => {});
    await live(c, "px.A");
    proxy.close();
    await until(() => c.heard.status.filter((s) => s.state === "connecting").length >= 2);
    assert.ok(c.heard.status.every((s) => s.transport === null || s.transport === "ws"));
  });

  test("a proxy that does not implement one transport leads to the next", async () => {
    const proxy = await startProxy(server.stream);
    proxy.refuse = (head) => noUpgrade(head) ?? (/event-stream/.test(head) ? "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" : null);
    const c = client(proxy.url);
    c.subscribe("px.A", () => {});
    await until(() => c.status.state === "live" || c.heard.error.length);
    assert.deepEqual([c.status.transport, c.heard.error], ["poll", []]);
  });

  test("Retry-After is obeyed", async () => {
    const proxy = await startProxy(server.stream);
    proxy.refuse = () => "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const begin = Date.now();
    const c = client(proxy.url);
    c.subscribe("px.A", () => {});
    await until(() => c.status.state === "offline");
    assert.equal(c.status.code, 503);
    const wait = c.status.retryAt - Date.now();
    assert.ok(c.status.retryAt - begin > 6900 && wait < 10_600, `${wait} ms`);
  });

  test("a loss is told over SSE and polling", async () => {
    for (const transport of ["sse", "poll"]) {
      const c = client(server.stream, { transports: [transport] });
      c.subscribe("ord.lost", () => {}, { after: "another:5" });
      await until(() => c.heard.lost.length);
      assert.deepEqual(c.heard.lost, [{ topic: "ord.lost", from: "another:5", why: "not recovered" }]);
    }
  });

  test("the newest messages at once", async () => {
    const c = client(server.stream);
    c.subscribe("px.N", () => {});
    await warm(c, nc, "px.N");
    const [newest, ...others] = await c.latest(["$SYS.x", "px.N"]);
    assert.deepEqual([newest.t, newest.d], ["px.N", "warm"]);
    assert.equal(others.length, 0);
    assert.deepEqual(c.heard.error.map(({ code, topic }) => [code, topic]), [[103, "$SYS.x"]]);
    await assert.rejects(c.latest("$SYS.x"), { name: "TickcastError" });
  });

  test("a server that ends says when to come back", async () => {
    for (const transport of ["ws", "sse", "poll"]) {
      const one = await startServer('[drain]\nwindow = "10s"\nduration = "100ms"\n');
      const c = client(one.stream, { transports: [transport] });
      c.subscribe("px.A", () => {});
      await live(c, "px.A");
      const begin = Date.now();
      const end = one.stop();
      const ended = await until(() => c.heard.status.find((s) => s.state === "offline")); // it may be back by now
      const wait = ended.retryAt - begin;
      assert.ok(wait >= 0 && wait <= 10_500 + (Date.now() - begin), `${transport}: ${wait} ms`);
      if (transport !== "poll") assert.ok(c.heard.notice.some((m) => m.op === "drain"), transport);
      c.close();
      await end;
    }
  });
});
