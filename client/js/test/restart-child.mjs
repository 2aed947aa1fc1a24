// Many clients in one process, for restart.test.mjs: each reads a topic behind JetStream, ord.a, and one of core NATS, bare.x.

import { Tickcast } from "../dist/tickcast.js";

const [url, count, perSecond] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const clients = [];

function add() {
  const one = { next: undefined, fault: "", lost: [], backAt: 0 };
  clients.push(one);
  const c = new Tickcast(url, { transports: ["ws"] });
  one.c = c;
  c.on("lost", ({ topic, why }) => one.lost.push(topic + " " + why));
  c.on("error", ({ retry, message }) => retry || (one.fault ||= message));
  c.on("topic", ({ topic, state }) => topic === "ord.a" && state === "live" && (one.backAt = Date.now()));
  c.subscribe("ord.a", ({ d, k }) => {
    if (k) return void (one.next ??= d + 1);
    if (one.next !== undefined && d !== one.next) one.fault ||= `${d} in place of ${one.next}`;
    one.next = d + 1;
  });
  c.subscribe("bare.x", () => {});
}

const begin = Date.now();
const timer = setInterval(() => {
  while (clients.length < Math.min(count, ((Date.now() - begin) / 1000) * perSecond)) add();
  if (clients.length === count) clearInterval(timer);
}, 50);

process.on("message", (next) => {
  process.send({
    all: clients.length === count,
    live: clients.filter(({ c }) => c.state("ord.a") === "live" && c.state("bare.x") === "live").length,
    level: clients.filter((one) => one.next === next).length,
    faults: clients.map(({ fault }) => fault).filter(Boolean),
    lost: clients.map(({ lost }) => lost.join()),
    backAt: clients.map(({ backAt }) => backAt),
    others: clients.filter(({ c }) => c.state("ord.a") !== "live" || c.state("bare.x") !== "live").map(({ c }) => `${c.status.state} ${c.status.code} ${c.status.reason} ${c.state("ord.a")} ${c.state("bare.x")}`),
  });
});
process.on("disconnect", () => process.exit());
