import { gzipSync } from "node:zlib";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createCacheMiddleware } from "../src/rfc9111.ts";
import { listen } from "./listen.ts";

const url = "https://example.test/a";
const minute = { "cache-control": "max-age=60" };
const swr = "max-age=1, stale-while-revalidate=60";

function streamOf(...chunks: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });
}

test("a Response is stored and sent again, including several cookies", async () => {
  const cached = createCacheMiddleware();
  let calls = 0;
  const next = (): Response => {
    calls++;
    const headers = new Headers(minute);
    headers.append("set-cookie", "a=1; Expires=Fri, 15 Jan 2027 08:00:00 GMT");
    headers.append("set-cookie", "b=2");
    return new Response(streamOf("hel", "lo"), { headers });
  };
  for (let index = 0; index < 2; index++) {
    const response = await cached(new Request(url), next);
    expect(await response.text()).toBe("hello");
    expect(response.headers.getSetCookie()).toHaveLength(2);
  }
  expect(calls).toBe(1);
});

test("a reader of a response cannot change the stored bytes", async () => {
  const cached = createCacheMiddleware();
  const next = (): Response => new Response("hello", { headers: minute });
  for (let index = 0; index < 3; index++) {
    const bytes = new Uint8Array(await (await cached(new Request(url), next)).arrayBuffer());
    expect(new TextDecoder().decode(bytes)).toBe("hello");
    bytes.fill(0);
  }
});

test("a body that is not stored is streamed", async () => {
  const cached = createCacheMiddleware();
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(1_000));
      },
    },
    { highWaterMark: 0 },
  );
  const response = await cached(new Request(url), () => new Response(endless));
  expect(pulled).toBe(0);
  const reader = response.body?.getReader();
  expect((await reader?.read())?.value).toHaveLength(1_000);
  await reader?.cancel();
});

test("a body that turns out to be too large is passed on complete", async () => {
  const cached = createCacheMiddleware({ policy: { maxBodyBytes: 5 } });
  const next = (): Response => new Response(streamOf("abc", "def", "ghi"), { headers: minute });
  const response = await cached(new Request(url), next);
  expect(await response.text()).toBe("abcdefghi");
  expect(response.headers.get("cache-status")).toContain("detail=too-large");
});

test("a truncated body is neither stored nor passed on as complete", async () => {
  const cached = createCacheMiddleware();
  const broken = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(1));
      controller.error(new Error("reset"));
    },
  });
  await expect(cached(new Request(url), () => new Response(broken, { headers: minute }))).rejects.toThrow("reset");
  const response = await cached(new Request(url), () => new Response("whole", { headers: minute }));
  expect(await response.text()).toBe("whole");
});

test("a body that fetch has decoded is stored, although its length differs from Content-Length", async () => {
  const zipped = gzipSync("a".repeat(1_000));
  const headers = { ...minute, "content-encoding": "gzip", "content-length": zipped.length };
  const origin = await listen((_request, response) => response.writeHead(200, headers).end(zipped));
  const cached = createCacheMiddleware();
  for (const reason of ["fwd=uri-miss", "hit"]) {
    const response = await cached(new Request(origin), fetch);
    expect(response.headers.get("cache-status")).toContain(reason);
    expect(await response.text()).toBe("a".repeat(1_000));
  }
});

test("no range is served from a body that fetch has decoded, because its ETag and length describe the encoded bytes", async () => {
  const zipped = gzipSync("a".repeat(1_000));
  const headers = { ...minute, "content-encoding": "gzip", etag: '"1"' };
  const origin = await listen(({ url: path }, response) => {
    const length = path === "/chunked" ? {} : { "content-length": zipped.length };
    response.writeHead(200, { ...headers, ...length }).end(zipped);
  });
  for (const path of ["/", "/chunked"]) {
    const cached = createCacheMiddleware();
    await cached(new Request(origin + path), fetch);
    for (const range of ["bytes=0-9", "bytes=1000-"]) {
      const response = await cached(new Request(origin + path, { headers: { range, "if-range": '"1"' } }), fetch);
      expect(response.headers.get("cache-status")).toContain("hit");
      expect([response.status, response.headers.get("content-range"), await response.text()]).toEqual([
        200,
        null,
        "a".repeat(1_000),
      ]);
    }
  }
});

test("a body whose content coding fetch cannot decode is stored only if it is complete", async () => {
  const headers = { ...minute, "content-encoding": "aes128gcm", "content-length": "5" };
  for (const [body, reason] of [
    ["cut", "detail=incomplete"],
    ["whole", "stored"],
  ] as const) {
    const response = await createCacheMiddleware()(new Request(url), () => new Response(body, { headers }));
    expect([await response.text(), response.headers.get("cache-status")]).toEqual([
      body,
      expect.stringContaining(reason),
    ]);
  }
});

test("next receives the original request with its body, unless conditions were added", async () => {
  const clock = createVirtualClock();
  const cached = createCacheMiddleware({ clock });
  const request = new Request(url, { method: "POST", body: "hello" });
  await cached(request, async (received) => {
    expect(received).toBe(request);
    return new Response(await received.text());
  });
  const seen: (string | null)[] = [];
  const next = (received: Request): Response => {
    seen.push(received.headers.get("if-none-match"));
    const headers = { ...minute, etag: '"a"' };
    return seen.length === 1 ? new Response("hello", { headers }) : new Response(null, { status: 304, headers });
  };
  await cached(new Request(url), next);
  await clock.advance(61_000);
  expect(await (await cached(new Request(url), next)).text()).toBe("hello");
  expect(seen).toEqual([null, '"a"']);
});

test("partitions separate responses, and a request without a partition bypasses the cache", async () => {
  const cached = createCacheMiddleware({
    partition: ({ headers }) => (headers.has("tenant") ? [headers.get("tenant") ?? ""] : null),
  });
  let calls = 0;
  const next = (): Response => new Response(String(calls++), { headers: minute });
  const ask = async (headers: Record<string, string>): Promise<string> =>
    (await cached(new Request(url, { headers }), next)).text();
  expect([
    await ask({ tenant: "a" }),
    await ask({ tenant: "b" }),
    await ask({ tenant: "a" }),
    await ask({}),
    await ask({}),
  ]).toEqual(["0", "1", "0", "2", "3"]);
});

test("the cache mode of a Request applies: no-store neither uses nor stores responses, reload and no-cache go to the origin", async () => {
  for (const [cache, texts] of [
    ["default", ["0", "0", "0"]],
    ["no-store", ["0", "1", "0"]],
    ["reload", ["0", "1", "1"]],
    ["no-cache", ["0", "1", "1"]],
  ] as const) {
    const cached = createCacheMiddleware();
    const seen: Request[] = [];
    const next = (request: Request): Response => new Response(String(seen.push(request) - 1), { headers: minute });
    const ask = async (init: RequestInit): Promise<string> => (await cached(new Request(url, init), next)).text();
    const headers = { "cache-control": "max-age=60" };
    expect([cache, [await ask({}), await ask({ cache, headers }), await ask({})]]).toEqual([cache, texts]);
    // A miss is the request itself, so that its mode reaches the caches behind it. A validation says the same in a field.
    const [, second] = seen;
    if (cache === "no-store") expect(second?.cache).toBe(cache);
    else if (second !== undefined) expect(second.headers.get("cache-control")).toBe("max-age=60, no-cache");
  }
});

test("an unsafe request with the cache mode no-store invalidates the stored response", async () => {
  const cached = createCacheMiddleware();
  let version = 1;
  const next = (): Response => new Response(String(version), { headers: minute });
  await cached(new Request(url), next);
  version = 2;
  await cached(new Request(url, { method: "POST", cache: "no-store" }), next);
  expect(await (await cached(new Request(url), next)).text()).toBe("2");
});

test("background work is passed to the request's own background function", async () => {
  const clock = createVirtualClock();
  const cached = createCacheMiddleware({ clock });
  const next = (): Response => new Response("x", { headers: { "cache-control": swr } });
  await cached(new Request(url), next);
  await clock.advance(2_000);
  const work: Promise<unknown>[] = [];
  const response = await cached(new Request(url), next, (promise) => void work.push(promise));
  expect(response.headers.get("cache-status")).toContain("detail=stale-while-revalidate");
  expect(work).toHaveLength(1);
  await Promise.all(work);
  expect((await cached(new Request(url), next)).headers.get("cache-status")).toContain("hit; ttl=1");
});

test("responses with null-body statuses have no body, even from the store", async () => {
  const cached = createCacheMiddleware();
  const next = (): Response => new Response(null, { status: 204, headers: minute });
  for (let index = 0; index < 2; index++)
    expect(await cached(new Request(url), next)).toMatchObject({ status: 204, body: null });
});

test("a response to HEAD has a null body, so that servers send no Content-Length of their own", async () => {
  const cached = createCacheMiddleware();
  const response = await cached(new Request(url, { method: "HEAD" }), () => new Response(null));
  expect([response.body, response.headers.get("content-type")]).toEqual([null, null]);
});

test.each([
  ["must not be stored", { "cache-control": "no-store" }],
  ["is too large", { "cache-control": "max-age=60" }],
])("a background revalidation cancels a body that %s, because nobody reads it", async (_case, headers) => {
  const clock = createVirtualClock();
  const cached = createCacheMiddleware({ clock, policy: { maxBodyBytes: 5 } });
  await cached(new Request(url), () => new Response("good", { headers: { "cache-control": swr } }));
  await clock.advance(2_000);
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(4));
    },
    cancel() {
      isCancelled = true;
    },
  });
  const work: Promise<unknown>[] = [];
  const background = (promise: Promise<unknown>): void => void work.push(promise);
  const response = await cached(new Request(url), () => new Response(body, { headers }), background);
  await Promise.all(work);
  expect([await response.text(), work.length, isCancelled]).toEqual(["good", 1, true]);
});

test("the body of an error is cancelled when a stale response is served instead", async () => {
  const clock = createVirtualClock();
  const cached = createCacheMiddleware({ clock });
  const headers = { "cache-control": "max-age=1, stale-if-error=60" };
  await cached(new Request(url), () => new Response("good", { headers }));
  await clock.advance(2_000);
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    cancel() {
      isCancelled = true;
    },
  });
  const response = await cached(new Request(url), () => new Response(body, { status: 503 }));
  expect([await response.text(), isCancelled]).toEqual(["good", true]);
});

test("a response that was fetched for the client keeps url, redirected and statusText; one from the cache has none", async () => {
  const origin = await listen(({ url: path, headers }, response) => {
    if (path === "/moved") response.writeHead(302, { location: "/target" }).end();
    else if (headers["cache-control"] === "no-store") response.writeHead(200, "Not Kept").end();
    else response.writeHead(200, "Kept", { ...minute, etag: '"1"' }).end("text");
  });
  const cached = createCacheMiddleware();
  const read = async (path: string, headers: Record<string, string> = {}) => {
    const { url: from, redirected, status, statusText } = await cached(new Request(origin + path, { headers }), fetch);
    return [from, redirected, status, statusText];
  };
  const target = `${origin}/target`;
  expect(await read("/moved")).toEqual([target, true, 200, "Kept"]);
  expect(await read("/target", { "cache-control": "no-store" })).toEqual([target, false, 200, "Not Kept"]);
  expect(await read("/target")).toEqual([target, false, 200, "Kept"]);
  expect(await read("/target")).toEqual(["", false, 200, ""]);
  // The cache makes the 304 itself.
  const conditional = { "cache-control": "no-cache", "if-none-match": '"1"' };
  expect(await read("/target", conditional)).toEqual([target, false, 304, ""]);
});

test("the target of a redirect that fetch followed is not stored for the URL that redirects", async () => {
  let target = "/v1";
  const origin = await listen(({ url: path }, response) => {
    if (path === "/latest") response.writeHead(302, { location: target }).end();
    else response.writeHead(200, { "cache-control": "max-age=31536000" }).end(path);
  });
  const cached = createCacheMiddleware({ policy: { mode: "private" } });
  const read = (path: string): Promise<Response> => cached(new Request(origin + path), (request) => fetch(request));
  const first = await read("/latest");
  expect(await first.text()).toBe("/v1");
  expect(first.headers.get("cache-status")).toContain("detail=redirected");
  target = "/v2";
  expect(await (await read("/latest")).text()).toBe("/v2");
  // The target itself was requested under its own URL by nobody yet.
  await (await read("/v1")).text();
  expect((await read("/v1")).headers.get("cache-status")).toContain("hit");
});

test("a stored redirect is used only by requests that do not follow redirects", async () => {
  let redirects = 0;
  const origin = await listen(({ url: path }, response) => {
    if (path === "/empty") response.writeHead(302, minute).end("no location");
    else if (path === "/target") response.writeHead(200).end("target");
    else response.writeHead(302, { ...minute, location: "/target" }).end(String(++redirects));
  });
  const cached = createCacheMiddleware({ policy: { mode: "private" }, followsRedirects: true });
  const read = (path: string, redirect: RequestRedirect): Promise<Response> =>
    cached(new Request(origin + path, { redirect }), (request) => fetch(request));
  for (let index = 0; index < 2; index++) expect((await read("/moved", "manual")).status).toBe(302);
  expect(redirects).toBe(1);
  const followed = await read("/moved", "follow");
  expect([followed.status, await followed.text(), followed.redirected]).toEqual([200, "target", true]);
  await expect(read("/moved", "error")).rejects.toThrow("fetch failed");
  const stored = { headers: { "cache-control": "only-if-cached" } };
  expect((await cached(new Request(`${origin}/moved`, stored), (request) => fetch(request))).status).toBe(504);
  // Without a location there is nothing to follow.
  for (let index = 0; index < 2; index++) expect(await (await read("/empty", "follow")).text()).toBe("no location");
  expect((await read("/empty", "follow")).headers.get("cache-status")).toContain("hit");
});

test("an aborted request in front of fetch rejects with its reason, even if its response is stored", async () => {
  const cached = createCacheMiddleware({ followsRedirects: true });
  const read = (init?: RequestInit): Promise<Response> =>
    cached(new Request(url, init), () => new Response("text", { headers: minute }));
  await read();
  expect((await read()).headers.get("cache-status")).toContain("hit");
  await expect(read({ signal: AbortSignal.abort(new Error("gone")) })).rejects.toThrow("gone");
});

test("a redirect invalidates the stored response of its URL, and a 304 of its target does not validate it", async () => {
  const clock = createVirtualClock();
  const conditions: (string | undefined)[] = [];
  let isMoved = false;
  const origin = await listen(({ url: path, headers }, response) => {
    if (isMoved && path === "/latest") return response.writeHead(302, { location: "/v1" }).end();
    conditions.push(headers["if-none-match"]);
    // Two resources may use the same entity tag.
    if (headers["if-none-match"] === '"1"') return response.writeHead(304, { etag: '"1"' }).end();
    return response.writeHead(200, { "cache-control": "max-age=60", etag: '"1"' }).end(path);
  });
  const cached = createCacheMiddleware({ clock });
  const read = async (): Promise<string> =>
    (await cached(new Request(`${origin}/latest`), (request) => fetch(request))).text();
  expect(await read()).toBe("/latest");
  await clock.advance(61_000);
  isMoved = true;
  expect([await read(), await read()]).toEqual(["/v1", "/v1"]);
  expect(conditions).toEqual([undefined, '"1"', undefined, undefined]);
});

test.each([101, 0])(
  "a response that cannot be reconstructed, with status %i, is returned as next returned it",
  async (status) => {
    const cached = createCacheMiddleware();
    // As for an upgraded WebSocket, whose socket is a member of the response, or a redirect that a browser hides.
    const upgraded = Object.defineProperty(new Response(null), "status", { value: status });
    expect(await cached(new Request(url), () => upgraded)).toBe(upgraded);
    const headers = { upgrade: "websocket", connection: "upgrade" };
    expect(await cached(new Request(url, { headers }), () => upgraded)).toBe(upgraded);
  },
);
