/** Runs on Node and on Bun: prints the memory per stored response of 0.8 KB, with 100,000 of them stored, as JSON. */
import process from "node:process";
import { createMemoryCacheStore, type MemoryCacheStore, webClock } from "../../packages/http-cache/src/index.ts";
import { cacheKey, createHttpCache } from "../../packages/http-cache/src/rfc9111.ts";
import { bytesHeld } from "./worker.ts";

const responses = 100_000;
const maxBytes = 268_435_456;

/** Stores responses as a gateway does: each string and each body is new, as received from a socket. */
async function fill(count: number): Promise<MemoryCacheStore> {
  const store = createMemoryCacheStore({ clock: webClock, maxBytes, maxEntries: responses });
  const cache = createHttpCache({ store, clock: webClock });
  for (let index = 0; index < count; index++) {
    const nowMs = webClock.now();
    const asReceived = (text: string): string => Buffer.from(text, "latin1").toString("latin1");
    const headers = {
      "content-type": asReceived("application/json; charset=utf-8"),
      "content-length": asReceived("800"),
      "cache-control": asReceived("max-age=86400"),
      date: new Date(nowMs).toUTCString(),
      etag: asReceived(`"tag-${index}"`),
      "x-request-id": asReceived(`0123456789abcdef-${index}`),
    };
    const url = `https://gateway.example/v1/environments/device-${index}`;
    const response = { status: 200, headers, body: new Uint8Array(800).fill(index & 255) };
    const request = { method: "GET", url, partition: [`tenant-${index % 32}`], headers: {} };
    await cache.store({ ...request, key: cacheKey(request) }, response, { requestedAtMs: nowMs, receivedAtMs: nowMs });
  }
  return store;
}

// The code is compiled before anything is measured.
await fill(1_000);
const before = await bytesHeld();
const store = await fill(responses);
const after = await bytesHeld();
if (store.entryCount !== responses) throw new Error("Responses were evicted.");
process.stdout.write(
  `${JSON.stringify({ bytesPerAnswer: (after - before) / responses, countedBytes: store.byteCount / responses })}\n`,
);
process.exit(0);
