import { createHash } from "node:crypto";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createCacheMiddleware } from "../src/rfc9111.ts";
import { deferred } from "./harness.ts";
import { listen } from "./listen.ts";

const url = "https://example.test/a";
const minute = { "cache-control": "max-age=60" };

test("a request with integrity goes to fetch, which checks the body, and neither uses nor stores a response", async () => {
  let body = "good";
  const origin = await listen((_request, response) => response.writeHead(200, { ...minute, etag: '"1"' }).end(body));
  const cached = createCacheMiddleware();
  const integrity = `sha256-${createHash("sha256").update(body).digest("base64")}`;
  const read = async (init: RequestInit): Promise<string> =>
    (await cached(new Request(origin, init), (request) => fetch(request))).text();
  expect([await read({ integrity }), await read({})]).toEqual(["good", "good"]);
  body = "evil";
  expect(await read({})).toBe("good");
  await expect(read({ integrity })).rejects.toThrow("fetch failed");
  // An unsafe request still invalidates what is stored.
  await read({ method: "POST", integrity: "" });
  expect(await read({})).toBe("evil");
});

test("a validation keeps the request's properties other than fields, even in the background", async () => {
  for (const directives of ["max-age=1", "max-age=1, stale-while-revalidate=60"]) {
    const clock = createVirtualClock();
    const cached = createCacheMiddleware({ clock });
    const seen: unknown[] = [];
    const next = (request: Request): Response => {
      const { credentials, keepalive, mode, redirect, referrer, referrerPolicy } = request;
      seen.push({ credentials, keepalive, mode, redirect, referrer, referrerPolicy });
      return new Response("text", { headers: { "cache-control": directives, etag: '"1"' } });
    };
    const parts = { keepalive: true, mode: "same-origin", redirect: "error", credentials: "omit" } as const;
    const init = { ...parts, referrer: "", referrerPolicy: "no-referrer" } as const;
    const work: Promise<unknown>[] = [];
    const read = () => cached(new Request(url, init), next, (promise) => void work.push(promise));
    await read();
    await clock.advance(2_000);
    await read();
    await Promise.all(work);
    expect(seen).toEqual([init, init]);
  }
});

test("a validation of a request with force-cache is not served from the HTTP cache of fetch", async () => {
  const clock = createVirtualClock();
  const cached = createCacheMiddleware({ clock });
  const modes: string[] = [];
  const read = () =>
    cached(new Request(url, { cache: "force-cache" }), (request) => {
      modes.push(request.cache);
      return new Response("text", { headers: { "cache-control": "max-age=1", etag: '"1"' } });
    });
  await read();
  await clock.advance(2_000);
  await read();
  expect(modes).toEqual(["force-cache", "no-store"]);
});

test("a validation goes through the dispatcher that the request was made with", async () => {
  const clock = createVirtualClock();
  const cached = createCacheMiddleware({ clock });
  const origin = await listen((_request, response) =>
    response.writeHead(200, { "cache-control": "max-age=1", etag: '"1"' }).end("text"),
  );
  const paths: unknown[] = [];
  const dispatcher = {
    dispatch(options: { readonly path: unknown }): never {
      paths.push(options.path);
      throw new Error("not sent");
    },
  };
  const read = (init: object): Promise<Response> =>
    cached(new Request(`${origin}/a`, init), (request) => fetch(request));
  await read({});
  await clock.advance(2_000);
  await expect(read({ dispatcher })).rejects.toThrow("fetch failed");
  expect(paths).toEqual(["/a"]);
});

test("a request that is not a platform Request is validated with its fields and redirect mode", async () => {
  const clock = createVirtualClock();
  const cached = createCacheMiddleware({ clock });
  const { signal } = new AbortController();
  const foreign = { method: "GET", url, headers: new Headers({ "x-a": "1" }), redirect: "manual", signal };
  const seen: unknown[] = [];
  const next = ({ headers, redirect }: Request): Response => {
    seen.push([headers.get("x-a"), headers.get("if-none-match"), redirect]);
    return new Response("text", { headers: { "cache-control": "max-age=1", etag: '"1"' } });
  };
  for (let count = 0; count < 2; count++) {
    await cached(foreign as Request, next);
    await clock.advance(2_000);
  }
  expect(seen).toEqual([
    ["1", null, "manual"],
    ["1", '"1"', "manual"],
  ]);
});

/** A response whose body never ends, and a promise that resolves when it is cancelled. */
function createEndless(): { readonly response: Response; readonly cancelled: Promise<void> } {
  const { promise: cancelled, resolve } = deferred<void>();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(1)),
    cancel: () => resolve(),
  });
  return { response: new Response(body, { headers: minute }), cancelled };
}

test("a body is no longer read after its client disconnects, and none of it is stored", async () => {
  const cached = createCacheMiddleware();
  for (const isEarly of [true, false]) {
    const { response, cancelled } = createEndless();
    const client = new AbortController();
    const request = new Request(url, { signal: client.signal });
    const sent = cached(request, () => {
      if (isEarly) client.abort(new Error("gone"));
      else setImmediate(() => client.abort(new Error("gone")));
      return response;
    });
    await expect(sent).rejects.toThrow("gone");
    await cancelled;
    // Uses the request once more, because the signal of one that is garbage never aborts.
    expect(request.signal.aborted).toBe(true);
  }
  const next = await cached(new Request(url), () => new Response("whole", { headers: minute }));
  expect([await next.text(), next.headers.get("cache-status")]).toEqual(["whole", expect.stringContaining("uri-miss")]);
});
