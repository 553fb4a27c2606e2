/** Ends the process with one clear line on a Node.js that lacks what the gateway needs. The entry imports it before everything else. */
import process from "node:process";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
// The first version with node:sqlite, TypeScript and everything else without a flag.
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`letta-proxy: Node.js 22.18 or later is needed; this is ${process.versions.node}\n`);
  process.exit(1);
}
