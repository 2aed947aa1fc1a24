// A client in a process of its own, for tls.test.mjs: a process trusts the authorities of NODE_EXTRA_CA_CERTS from its start on.
// It writes a line for each message and for each change of its status.

import { Tickcast } from "../dist/tickcast.js";

const [url, transport] = process.argv.slice(2);
const c = new Tickcast(url, { transports: [transport] });
c.on("status", ({ state, reason }) => console.log("status", state, reason ?? ""));
c.on("error", ({ message }) => console.log("error", message));
c.subscribe("px.A", ({ d }) => console.log("message", d));
process.stdin.resume().on("end", () => process.exit()); // the test has ended
