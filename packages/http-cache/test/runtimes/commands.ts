/** How a TypeScript program is run on each runtime that is a process. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";

const { resolve } = createRequire(import.meta.url);

/** Node.js, Bun and Deno: the command and its first words. The programs themselves, because the wrappers in `.bin` outlive a kill. */
export const runtimes = {
  "Node.js": [process.execPath, "--disable-warning=ExperimentalWarning"],
  Bun: [join(dirname(resolve("bun/package.json")), "bin", "bun.exe")],
  Deno: [join(dirname(resolve("deno/package.json")), "deno"), "run", "-A", "--no-lock", "--quiet"],
} as const;

/** The environment of such a program. */
export const env = { PATH: process.env["PATH"] ?? "", DENO_NO_UPDATE_CHECK: "1", DO_NOT_TRACK: "1" };
