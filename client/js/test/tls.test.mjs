// The client over TLS: each transport in a process that trusts the server's certificate, and in one that does not.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { client, live, natsOf, startServer, until } from "./server.mjs";

const dir = mkdtempSync(join(tmpdir(), "tickcast-js-tls-"));
const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
after(() => rmSync(dir, { recursive: true, force: true }));

/** A certificate for the server's address, or false without openssl. */
function makeCertificate() {
  try {
    execFileSync("openssl", [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.2".split(" "),
      "-keyout", key, "-out", cert,
    ], { stdio: "pipe" });
    return true;
  } catch (err) {
    if (err.code === "ENOENT") return false;
    throw err;
  }
}

describe("TLS", { skip: !makeCertificate() && "no openssl" }, async () => {
  const server = await startServer("", { env: { TICKCAST_TLS_LISTEN: "127.0.0.2:0", TICKCAST_TLS_CERT: cert, TICKCAST_TLS_KEY: key } });
  const nc = await natsOf(server);
  assert.match(server.stream, /^wss:/);

  /** Starts a client in a process; its output grows in said. */
  function start(transport, env) {
    const child = spawn(process.execPath, [fileURLToPath(new URL("tls-child.mjs", import.meta.url)), server.stream, transport], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: "", ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const one = { said: "" };
    for (const from of [child.stdout, child.stderr]) from.on("data", (text) => (one.said += text));
    after(() => child.kill("SIGKILL"));
    return one;
  }

  for (const transport of ["ws", "sse", "poll"]) {
    test(transport + " by NODE_EXTRA_CA_CERTS", async () => {
      const one = start(transport, { NODE_EXTRA_CA_CERTS: cert });
      const text = "over TLS by " + transport;
      await until(() => {
        nc.publish("px.A", JSON.stringify(text));
        return one.said.includes("message " + text);
      }, transport);
    });

    test(transport + " without trust", async () => {
      const one = start(transport, {});
      await until(() => /^status offline/m.test(one.said), transport);
      assert.doesNotMatch(one.said, /^(status live|message)/m);
    });
  }

  test("npm's ws with an authority of its own", async () => {
    class Trusting extends WebSocket {
      constructor(url, protocols) {
        super(url, protocols, { ca: readFileSync(cert), rejectUnauthorized: true });
      }
    }
    const c = client(server.stream, { WebSocket: Trusting, transports: ["ws"] });
    const seen = [];
    c.subscribe("px.B", (m) => seen.push(m.d));
    await live(c, "px.B");
    await until(() => {
      nc.publish("px.B", '"b"');
      return seen.includes("b");
    });
  });
});
