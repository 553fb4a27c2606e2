/**
 * Runs on Node and on Bun: measures what a hit costs, by CPU time, in interleaved slices, and prints nanoseconds a request as JSON: one list of
 * samples a step.
 */
import { createMemoryCacheStore, webClock } from "../../packages/http-cache/src/index.ts";
import {
  cacheKey,
  type CacheRequest,
  createCacheMiddleware,
  createHttpCache,
} from "../../packages/http-cache/src/rfc9111.ts";
import { printSamples } from "./worker.ts";

const callsInSlice = 20_000;
const resources = 1_024;
const body = new Uint8Array(800).fill(0x61);

const store = createMemoryCacheStore({ clock: webClock });
const cache = createHttpCache({ store, clock: webClock, name: "bench" });
// Each key text is its own: never the object that the store holds.
const asReceived = (text: string): string => Buffer.from(text, "latin1").toString("latin1");
const urls = Array.from({ length: resources }, (_, index) => `https://gateway.example/v1/environments/device-${index}`);
const requests = urls.map((url, index): CacheRequest => ({
  method: "GET",
  url: asReceived(url),
  partition: [`tenant-${index % 32}`],
  headers: { accept: "application/json", "user-agent": "bench/1.0", "accept-encoding": "gzip, br" },
}));
const keyed = requests.map((request) => ({ ...request, key: cacheKey(request) }));
const conditional = requests.map((request, index) => ({
  ...request,
  headers: { ...request.headers, "if-none-match": `"tag-${index}"`, "cache-control": "max-age=600" },
}));

/** The headers of a typical API response. */
function headersOf(index: number, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    "content-type": "application/json; charset=utf-8",
    "content-length": String(body.length),
    "cache-control": "max-age=86400",
    date: new Date(webClock.now()).toUTCString(),
    etag: `"tag-${index}"`,
    "x-request-id": `request-${index}`,
    ...more,
  };
}

for (const [index, request] of requests.entries()) {
  const times = { requestedAtMs: webClock.now(), receivedAtMs: webClock.now() };
  await cache.store(request, { status: 200, headers: headersOf(index), body }, times);
  const varied = { status: 200, headers: headersOf(index, { vary: "Accept-Encoding" }), body };
  await cache.store({ ...request, partition: ["vary"] }, varied, times);
}
const varying = requests.map((request) => ({ ...request, partition: ["vary"] }));
const never = (): Promise<never> => Promise.reject(new Error("A request was no hit."));

const middleware = createCacheMiddleware({ store, name: "bench", partition: () => ["vary"] });

/** Every step adds to this, so that the compiler cannot remove a call. */
let sum = 0;

function handleAll(all: readonly CacheRequest[]): void {
  for (let call = 0; call < callsInSlice; call++) {
    const request = all[call % resources];
    if (request === undefined) return;
    const response = cache.handle(request, never);
    if (response instanceof Promise) throw new Error("A hit waited.");
    sum += response.status + (response.body?.length ?? 0) + (response.headers["age"]?.length ?? 0);
  }
}

/** A loop of its own for each step: one shared loop would have the engine treat all steps alike. */
const steps: Readonly<Record<string, () => void | Promise<void>>> = {
  "empty loop": () => {
    for (let call = 0; call < callsInSlice; call++) sum += requests[call % resources]?.url.length ?? 0;
  },
  "the key": () => {
    for (let call = 0; call < callsInSlice; call++) sum += cacheKey(requests[call % resources] ?? { url: "" }).length;
  },
  "finding it in the store": () => {
    for (let call = 0; call < callsInSlice; call++) sum += store.get(keyed[call % resources]?.key ?? "").length;
  },
  "a hit of 0.8 KB: found, checked, prepared": () => handleAll(requests),
  "the same with a key made before": () => handleAll(keyed),
  "the same with Vary: Accept-Encoding": () => handleAll(varying),
  "304 to If-None-Match, with Cache-Control in the request": () => handleAll(conditional),
  "a hit through the middleware, Request to Response": async () => {
    for (let call = 0; call < callsInSlice / 10; call++) {
      const { url, headers } = varying[call % resources] ?? { url: "", headers: {} };
      const response = await middleware(new Request(url, { headers }), never);
      sum += response.status;
    }
  },
};

await printSamples(steps, (step) => (step.includes("middleware") ? callsInSlice / 10 : callsInSlice));
if (!Number.isFinite(sum)) throw new Error("Nothing was summed.");
