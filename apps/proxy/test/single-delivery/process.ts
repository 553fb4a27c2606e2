/** Runs {@link sendMessages} as a program of Node.js, Bun or Deno: the origin is its argument, the outcomes are its output. */
import process from "node:process";
import { createUpstreamPool } from "../../src/adapters/undici-client.ts";
import { sendMessages } from "./send-messages.ts";

const baseUrl = { origin: process.argv[2] ?? "", basePath: "" };
const call = createUpstreamPool({ baseUrl, maxResponseBytes: 1_000, maxConnections: 1 });
process.stdout.write(JSON.stringify(await sendMessages(call)));
