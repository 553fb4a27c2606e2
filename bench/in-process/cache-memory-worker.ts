/** Runs on Node and on Bun: prints how many bytes an answer of 0.8 KB holds when 100,000 of them are stored, as JSON. */
import process from "node:process";
import { cacheKey } from "../../packages/http-cache/src/key.ts";
import { createHttpCache } from "../../packages/http-cache/src/rfc9111/http-cache.ts";
import { createMemoryCacheStore, type MemoryCacheStore, webClock } from "../../packages/http-cache/src/index.ts";

const answers = 100_000;
const maxBytes = 268_435_456;

/** Stores as a gateway does: each text and each body is new, as a socket brings it. */
async function fill(count: number): Promise<MemoryCacheStore> {
  const store = createMemoryCacheStore({ clock: webClock, maxBytes, maxEntries: answers });
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
    const answer = { status: 200, headers, body: new Uint8Array(800).fill(index & 255) };
    const request = { method: "GET", url, partition: [`tenant-${index % 32}`], headers: {} };
    await cache.store({ ...request, key: cacheKey(request) }, answer, { requestedAtMs: nowMs, receivedAtMs: nowMs });
  }
  return store;
}

async function bytesHeld(): Promise<number> {
  const bun = (globalThis as { readonly Bun?: { gc(force: boolean): void } }).Bun;
  for (let times = 0; times < 3; times++) {
    if (bun === undefined) globalThis.gc?.();
    else bun.gc(true);
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return bun === undefined ? heapUsed + arrayBuffers : rss;
}

// The code is compiled before anything is measured.
await fill(1_000);
const before = await bytesHeld();
const store = await fill(answers);
const after = await bytesHeld();
if (store.entryCount !== answers) throw new Error("Answers were forgotten.");
process.stdout.write(
  `${JSON.stringify({ bytesPerAnswer: (after - before) / answers, countedBytes: store.byteCount / answers })}\n`,
);
process.exit(0);
