/** Runs {@link sendMessages} as a program of Node.js, Bun or Deno: the origin is its argument, the outcomes are its output. */
import process from "node:process";
import { sendMessages } from "./send-messages.ts";

process.stdout.write(JSON.stringify(await sendMessages(process.argv[2] ?? "")));
