/** Exits with one clear line on a Node.js version that is too old. The entry imports this module before all others. */
import process from "node:process";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
// The first version that runs node:sqlite and TypeScript without flags.
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`letta-proxy: Node.js 22.18 or later is needed; this is ${process.versions.node}\n`);
  process.exit(1);
}
