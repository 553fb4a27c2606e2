import { once } from "node:events";
import { get } from "node:http";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** Longest wait for a server, in milliseconds. */
const patienceMs = 30_000;

/** Resolves when a server on loopback first answers a path with this status; it is asked again a millisecond after each failure. */
export async function firstAnswer(port: number, path: string, status = 200): Promise<void> {
  const until = performance.now() + patienceMs;
  while ((await statusOf(port, path)) !== status) {
    if (performance.now() > until) throw new Error(`Port ${port} did not respond to ${path} with ${status}.`);
    await delay(1);
  }
}

function statusOf(port: number, path: string): Promise<number | null> {
  return new Promise((resolve) => {
    get({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? null);
    }).on("error", () => resolve(null));
  });
}

/** A port of loopback that is not in use. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || address === null) throw new Error("The system assigned no port.");
  return address.port;
}
