// The fallbacks: Server-Sent Events and long polling through proxies that block upgrades, and the way back.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { noUpgrade, startProxy } from "./proxy.mjs";
import { client, live, natsOf, startServer, tokenOf, until, warm } from "./server.mjs";

const CLASSES = `
[publish]
topics = [">"]
[[topic]]
match = "ord.>"
mode = "all"
history = 1000
[[topic]]
match = "few.>"
mode = "all"
history = 5
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

    test(transport + ": each topic of an epoch gets what it has missed, once", async () => {
      const [all, early, late, fresh] = [">", "early", "late", "fresh"].map((name) => `ord.${transport}.${name}`);
      const keeper = client(server.stream);
      keeper.subscribe(all, () => {});
      await warm(keeper, nc, early, late);
      const before = keeper.cursor(all);
      for (const n of [1, 2]) nc.publish(early, String(n));
      nc.publish(late, "3");
      await nc.flush();
      const proxy = await startProxy(server.stream);
      const c = client(proxy.url, { transports: [transport] });
      const seen = { [early]: [], [late]: [], [fresh]: [] };
      const see = (m) => m.k || m.d === "warm" || seen[m.t].push(m.d);
      c.subscribe(late, see);
      await live(c, late);
      nc.publish(late, "4");
      await until(() => seen[late].includes(4));
      c.subscribe(early, see, { after: before });
      await until(() => seen[early].length >= 2);
      c.subscribe(fresh, see);
      await live(c, early, late, fresh);
      for (const n of [5, 6]) {
        for (const topic of [late, early, fresh]) nc.publish(topic, String(n));
        await until(() => seen[fresh].includes(n) && seen[early].includes(n) && seen[late].includes(n));
        proxy.cut();
        await until(() => c.status.state === "offline");
        c.connect();
        await live(c, early, late, fresh);
      }
      for (const topic of [late, early, fresh]) nc.publish(topic, "7");
      await until(() => Object.values(seen).every((list) => list.includes(7)));
      assert.deepEqual(seen, { [early]: [1, 2, 5, 6, 7], [late]: [4, 5, 6, 7], [fresh]: [5, 6, 7] });
      assert.deepEqual([c.heard.lost, c.heard.error], [[], []]);
    });

    test(transport + ": a topic that is silent for long costs others no history", async () => {
      const [quiet, busy] = [`few.${transport}.quiet`, `few.${transport}.busy`];
      const keeper = client(server.stream); // keeps the server's interest
      keeper.subscribe([quiet, busy], () => {});
      await warm(keeper, nc, quiet, busy);
      const proxy = await startProxy(server.stream);
      const c = client(proxy.url);
      const seen = [];
      c.subscribe([quiet, busy], (m) => m.k || m.d === "warm" || seen.push(m.d));
      await live(c, quiet, busy);
      let n = 0;
      const publish = async (topic) => {
        nc.publish(topic, String(n++));
        await until(() => seen.length >= n);
      };
      const back = async () => {
        await until(() => c.status.transport === transport || void (c.status.retryAt && c.connect()));
        await live(c, quiet, busy);
      };
      await publish(quiet);
      for (let i = 0; i < 10; i++) await publish(busy);
      proxy.refuse = refuse;
      proxy.cut();
      await until(() => c.status.state === "offline");
      await back();
      for (let i = 0; i < 10; i++) await publish(busy);
      proxy.cut();
      await until(() => c.status.state === "offline");
      await back();
      await publish(busy);
      await publish(quiet);
      assert.deepEqual(seen, Array.from({ length: n }, (_, i) => i));
      assert.deepEqual(c.heard.lost, []);
    });

    test(transport + ": a topic that is refused is told once", async () => {
      const c = client(server.stream, { transports: [transport] });
      const seen = [];
      c.subscribe(["$SYS.x", "px.R"], (m) => seen.push(m.d));
      await live(c, "px.R");
      await warm(c, nc, "px.R");
      for (const n of [1, 2, 3]) {
        nc.publish("px.R", String(n));
        await until(() => seen.includes(n));
      }
      assert.deepEqual(c.heard.error.map(({ code, topic }) => [code, topic]), [[103, "$SYS.x"]]);
      assert.equal(c.state("$SYS.x"), "refused");
    });

    test(transport + ": a token that expires is followed by another, whose refusal is final", async () => {
      const dir = mkdtempSync(join(tmpdir(), "tickcast-token-"));
      after(() => rmSync(dir, { recursive: true }));
      const secret = join(dir, "secret");
      writeFileSync(secret, "0123456789abcdef0123456789abcdef");
      const server = await startServer(`[auth]\nsecret = ${JSON.stringify(secret)}\nnotice = "1s"\ngrace = "1s"\nleeway = "0s"\n`);
      const nc = await natsOf(server);
      const tokens = [tokenOf(secret, 10, "sec.>"), tokenOf(secret, 3600, "sec.>")];
      let asked = 0;
      const c = client(server.stream, { transports: [transport], token: () => tokens[Math.min(asked++, 1)] });
      const refused = client(server.stream, { transports: [transport], token: () => (refused.asked = refused.asked ? "nonsense" : tokens[0]) });
      let last;
      c.subscribe("sec.a", (m) => (last = m.d));
      refused.subscribe("sec.a", () => {});
      await live(c, "sec.a");
      await live(refused, "sec.a");
      await until(() => asked > 1 && c.state("sec.a") === "live");
      await until(() => {
        nc.publish("sec.a", '"x"');
        return last === "x";
      });
      assert.deepEqual([c.heard.error, c.heard.lost], [[], []]);
      await until(() => refused.heard.error.length);
      assert.deepEqual(refused.heard.error.map(({ code }) => code), [401]);
      assert.deepEqual([refused.status.state, refused.status.retryAt], ["offline", null]);
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
