import { join } from "node:path";

/** A server under test, started in a process of its own. */
export interface SystemUnderTest {
  readonly name: string;
  /** Script in this folder, or the proxy's own entry. */
  readonly entry: string;
  readonly words: readonly string[];
  /** `none`: any key will do. `own`: it says which one. `issued`: one is made by `letta-proxy keys create`. */
  readonly key: "none" | "own" | "issued";
}

const entryOf = (file: string): string => join(import.meta.dirname, file);

/** The proxy as it is started by users. */
export const proxyEntry: string = join(import.meta.dirname, "../../apps/proxy/src/runtimes/node.ts");

/** The first one is what the others' throughput is compared with. */
export const systems: readonly SystemUnderTest[] = [
  { name: "node:http, fixed answer", entry: entryOf("node-http.ts"), words: [], key: "none" },
  { name: "node:http, fixed answer, with auth", entry: entryOf("node-http.ts"), words: ["auth"], key: "own" },
  { name: "Hono, fixed answer", entry: entryOf("hono.ts"), words: [], key: "none" },
  { name: "Hono, fixed answer, with auth", entry: entryOf("hono.ts"), words: ["auth"], key: "own" },
  { name: "proxy's pipeline with auth, fixed answer", entry: entryOf("proxy-pipeline.ts"), words: [], key: "own" },
  {
    name: "proxy with auth, embedded server, one row",
    entry: proxyEntry,
    // Limits that are never met, but asked.
    words: ["start", "--port", "0", "--log", "json", "--config", join(import.meta.dirname, "proxy.config.json")],
    key: "issued",
  },
];
