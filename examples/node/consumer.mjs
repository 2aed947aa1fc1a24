// Reads every order, also over restarts of this program; one in hand when it dies comes once more:
//   node consumer.mjs [ws://127.0.0.1:8080/stream]
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { Tickcast } from "tickcast";

const file = "cursor.txt";
let after = null;
try {
  after = readFileSync(file, "utf8");
} catch {} // the first start

const client = new Tickcast(process.argv[2] ?? "ws://127.0.0.1:8080/stream");
client.on("lost", ({ topic, from, why }) => console.error(`lost orders of ${topic} after ${from}: ${why}`));
client.subscribe(
  "ord.>",
  ({ t, s, d }) => {
    console.log(t, s, JSON.stringify(d));
    const cursor = client.cursor("ord.>");
    if (!cursor) return;
    writeFileSync(file + ".new", cursor);
    renameSync(file + ".new", file); // the order is taken care of
  },
  { after },
);
