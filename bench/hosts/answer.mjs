/** The answers that every host gives, one device at its first port and a list of 20 at its second, with the fields of the gateway's answers. */
import process from "node:process";
import { fixedBody, listText } from "../systems/fixed-answer.ts";

export const bodies = [fixedBody, new TextEncoder().encode(listText)];

export const headers = {
  "content-type": "application/json",
  "cache-control": "private, no-store",
  "x-content-type-options": "nosniff",
  "x-request-id": "req-1",
};

/** Tells the benchmark the ports. */
export function announce(ports) {
  process.stdout.write(`listening ${ports.join(" ")}\n`);
}
