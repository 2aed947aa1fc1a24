// Builds dist: the modules by esbuild, their types by tsc. Prints the client's size as browsers load it, and fails over 5 KB.

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const MOST = 5 * 1024; // bytes

const outfile = "dist/tickcast.js";
const options = { bundle: true, minify: true, format: "esm", target: "es2022", legalComments: "none" };
rmSync("dist", { recursive: true, force: true });
await build({ ...options, entryPoints: ["src/worker.ts"], outfile: "dist/tickcast-worker.js", external: ["./tickcast.js"] });
await build({
  ...options,
  entryPoints: ["src/tickcast.ts"],
  outfile,
  // Fields that only the modules themselves see get short names.
  mangleProps:
    /^(heard|lost|seq|reach|silent|line|dials|beat|wished|wish|begin|isLive|redial|watch|setStatus|timer|emit|query|dropped|ping|received|opened|lossless|known|handlers|newest|tries|epoch|is|to|last|want|unwant|reset|commands|isDue|again|deliver|gap|acked|refused|tell|answered|failed|pages|unsent)$/,
});
execFileSync("node_modules/.bin/tsc", { stdio: "inherit" });

const text = readFileSync(outfile);
const size = brotliCompressSync(text).length;
console.log(`${outfile}: ${text.length} bytes, ${size} with brotli`);
if (size > MOST) {
  console.error(`more than ${MOST} bytes with brotli`);
  process.exit(1);
}
