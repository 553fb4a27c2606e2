/** Requests /livez every 20 ms until it is stopped, and prints the times in milliseconds: `livez-worker.ts URL`. */
import { Agent, get } from "node:http";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";

const [, , url = ""] = process.argv;
const agent = new Agent({ keepAlive: true });
const times: number[] = [];
let sentAt: number | null = null;

function request(): Promise<void> {
  return new Promise((resolve, reject) => {
    get(`${url}/livez`, { agent }, (incoming) => incoming.resume().on("end", resolve)).on("error", reject);
  });
}

process.on("SIGTERM", () => {
  // A request that still waits counts too.
  if (sentAt !== null) times.push(performance.now() - sentAt);
  process.stdout.write(`${JSON.stringify(times)}\n`, () => process.exit());
});

await request();
process.stdout.write("ready\n");
for (;;) {
  sentAt = performance.now();
  await request();
  times.push(performance.now() - sentAt);
  sentAt = null;
  await delay(20);
}
