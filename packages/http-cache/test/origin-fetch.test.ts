/** Requests to one origin server: what `createOriginFetch` sends, and how often. */
import { expect, test } from "vitest";
import { createCacheMiddleware, createOriginFetch } from "../src/rfc9111.ts";
import { deferred } from "./harness.ts";
import { listen } from "./listen.ts";

const url = "https://example.test/a";

test("the origin receives path, query and body, but no fields of the client's connection", async () => {
  const seen: string[] = [];
  const fetchOnce = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    seen.push(request.url, await request.text(), String(request.headers.get("keep-alive")), request.redirect);
    return new Response("plain", { headers: { "content-encoding": "gzip", "content-length": "3" } });
  };
  const next = createOriginFetch({ origin: "http://127.0.0.1:1", fetch: fetchOnce });
  const headers = { "keep-alive": "1" };
  const response = await next(new Request(`${url}/b%2Fc?x=1`, { method: "POST", body: "sent", headers }));
  expect(seen).toEqual(["http://127.0.0.1:1/a/b%2Fc?x=1", "sent", "null", "manual"]);
  expect([response.headers.get("content-encoding"), response.headers.get("content-length")]).toEqual([null, null]);
});

test.each(["http://127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1//"])(
  "the path of a request begins with one slash at the origin %s",
  async (origin) => {
    const seen: string[] = [];
    const fetchOnce = (input: string | URL | Request): Promise<Response> => {
      seen.push(new Request(input).url);
      return Promise.resolve(new Response());
    };
    await createOriginFetch({ origin, fetch: fetchOnce })(new Request(url));
    expect(seen).toEqual(["http://127.0.0.1:1/a"]);
  },
);

test("Expect is not forwarded, because fetch refuses it", async () => {
  const origin = await listen((request, response) => void request.resume().on("end", () => response.end("ok")));
  const headers = { expect: "100-continue" };
  const request = new Request(url, { method: "POST", body: "hello", headers });
  expect(await (await createOriginFetch({ origin })(request)).text()).toBe("ok");
});

/** A body whose second part is there when `opened` resolves. */
function createUpload(opened: Promise<void>): ReadableStream<Uint8Array> {
  const parts = [Promise.resolve("hel"), opened.then(() => "lo")];
  return new ReadableStream({
    async pull(controller) {
      const part = await parts.shift();
      if (part === undefined) controller.close();
      else controller.enqueue(new TextEncoder().encode(part));
    },
  });
}

test.each([["content-length", "5"] as const, ["transfer-encoding", "chunked"] as const])(
  "an upload is streamed: the origin gets its first part before the last one exists (%s)",
  async (field, value) => {
    const { promise: begun, resolve: begin } = deferred<void>();
    const origin = await listen((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        begin();
      });
      request.on("end", () => response.end(`${request.headers[field]} ${Buffer.concat(chunks).toString()}`));
    });
    const headers = field === "content-length" ? { [field]: value } : {};
    const init = { method: "PUT", headers, body: createUpload(begun), duplex: "half" };
    const response = await createCacheMiddleware()(new Request(url, init), createOriginFetch({ origin }));
    expect(await response.text()).toBe(`${value} hello`);
  },
);

test("an empty body of unknown length is not sent, because some origins refuse an empty chunked body", async () => {
  const sent: unknown[] = [];
  const fetchOnce = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    sent.push([init?.body === null, await new Request(input, init).text()]);
    return new Response();
  };
  const next = createOriginFetch({ origin: "http://127.0.0.1:1", fetch: fetchOnce });
  // Deno has such a body for each request but GET and HEAD.
  for (const text of ["", "hello"]) {
    const init = { method: "POST", body: new Blob([text]).stream(), duplex: "half" };
    await next(new Request(url, init));
  }
  expect(sent).toEqual([
    [true, ""],
    [false, "hello"],
  ]);
});

test("a body that was already consumed is not mistaken for an empty one", async () => {
  const request = new Request(url, { method: "POST", body: "hello" });
  await request.text();
  await expect(createOriginFetch({ origin: "http://127.0.0.1:1" })(request)).rejects.toThrow(TypeError);
});

test("an upload is sent only once, even if the origin closes the connection and a stale response is stored", async () => {
  const methods: unknown[] = [];
  const origin = await listen((request, response) => {
    methods.push(request.method);
    if (request.method === "GET") response.writeHead(200, { "cache-control": "max-age=0", etag: '"1"' }).end("stored");
    else request.once("data", () => request.socket.destroy());
  });
  const cached = createCacheMiddleware();
  const send = (init: RequestInit): Promise<Response> => cached(new Request(url, init), createOriginFetch({ origin }));
  expect((await send({})).headers.get("cache-status")).toContain("stored");
  const init = { method: "PUT", body: createUpload(new Promise(() => undefined)), duplex: "half" };
  await expect(send(init)).rejects.toThrow("fetch failed");
  expect(methods).toEqual(["GET", "PUT"]);
});

/** Sends a request through `createOriginFetch`, and returns the status with the fields that reached the origin; `null` if nothing did. */
async function forward(init: RequestInit, name?: string): Promise<readonly [status: number, Headers | null]> {
  let seen: Headers | null = null;
  const fetchOnce = (input: string | URL | Request, sent?: RequestInit): Promise<Response> => {
    seen = new Request(input, sent).headers;
    return Promise.resolve(new Response());
  };
  const next = createOriginFetch({
    origin: "http://127.0.0.1:1",
    fetch: fetchOnce,
    ...(name !== undefined && { name }),
  });
  const { status } = await next(new Request(url, init));
  return [status, seen];
}

test("Via lists this proxy after the proxies nearer to the client", async () => {
  const via = async (...sent: Parameters<typeof forward>) => (await forward(...sent))[1]?.get("via");
  expect(await via({})).toBe("1.1 http-cache");
  expect(await via({}, "edge-1")).toBe("1.1 edge-1");
  expect(await via({ headers: { via: "1.0 fred, 1.1 p.example:80" } }, "edge-1")).toBe(
    "1.0 fred, 1.1 p.example:80, 1.1 edge-1",
  );
  expect(await via({ headers: { via: "" } })).toBe("1.1 http-cache");
  for (const name of ["", "two words", "a/b"])
    expect(() => createOriginFetch({ origin: url, name })).toThrow(TypeError);
});

test("TRACE, which only Bun accepts, is not forwarded, because the origin would reflect the fields that this proxy adds", async () => {
  const request = Object.defineProperty(new Request(url), "method", { value: "TRACE" });
  const next = createOriginFetch({ origin: url, fetch: () => Promise.reject(new Error("forwarded")) });
  expect((await next(request)).status).toBe(501);
});

test.each([
  ["OPTIONS", "0", null],
  ["OPTIONS", "1", "0"],
  ["OPTIONS", "010", "9"],
  ["OPTIONS", "9".repeat(25), String(Number.MAX_SAFE_INTEGER - 1)],
  ["OPTIONS", "many", "many"],
  ["GET", "0", "0"],
])("%s with Max-Forwards %s reaches the origin with %s", async (method, sent, received) => {
  const [status, headers] = await forward({ method, headers: { "max-forwards": sent } });
  expect([status, headers?.get("max-forwards") ?? null]).toEqual([received === null ? 204 : 200, received]);
});
