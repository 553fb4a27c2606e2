import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createClient, type RequestOptions, type TransportEvent, type TransportOptions } from "../src/index.ts";
import { catchError } from "./catch-error.ts";
import { createGate } from "./gate.ts";
import { createHandClock, type HandClock } from "./hand-clock.ts";
import { installRandom } from "./install-clock.ts";
import { type LoopbackServer, startLoopbackServer } from "./loopback-server.ts";

const servers: LoopbackServer[] = [];

async function start(respond: (request: IncomingMessage, response: ServerResponse) => void): Promise<LoopbackServer> {
  const server = await startLoopbackServer(respond);
  servers.push(server);
  return server;
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

/** Installs a clock that drives only the deadline of calls, because sockets have their own timers. */
const installDeadline = (): HandClock => createHandClock(60_000, undefined, (delayMs) => delayMs === 60_000);

// No wait before a retry.
beforeEach(() => installRandom(0));

const jsonHead = { "content-type": "application/json" };
const page = '{"connections":[],"hasNextPage":false}';

function list(
  server: LoopbackServer,
  more: Partial<TransportOptions> = {},
  options: RequestOptions = {},
): Promise<unknown> {
  const client = createClient({ baseUrl: server.url, apiKey: "lek_test", ...more });
  return client.environments.list({}, options);
}

test("a call over the platform's fetch adds only the authorization, accept and content-type headers", async () => {
  let seen: IncomingMessage | undefined;
  const server = await start((request, response) => {
    seen = request;
    request.resume().on("end", () => response.writeHead(200, jsonHead).end('{"success":true,"message":"ok"}'));
  });
  const client = createClient({ baseUrl: `${server.url}/base/`, apiKey: "lek_test" });
  const body = { messages: [{ role: "user" as const, content: "é", client_message_id: "m-1" }] };
  await expect(client.environments.sendMessage("c-1", body)).resolves.toMatchObject({ success: true });
  expect(seen?.url).toBe("/base/v1/environments/c-1/messages");
  expect(seen?.headers).toMatchObject({
    accept: "application/json",
    authorization: "Bearer lek_test",
    "content-type": "application/json",
  });
  const platform = [
    "host",
    "connection",
    "accept-language",
    "sec-fetch-mode",
    "user-agent",
    "accept-encoding",
    "content-length",
  ];
  const ours = Object.keys(seen?.headers ?? {}).filter((name) => !platform.includes(name));
  expect(ours.sort()).toEqual(["accept", "authorization", "content-type"]);
});

describe("the deadline of a call", () => {
  test("the deadline ends a call to a server that never responds", async () => {
    const clock = installDeadline();
    const server = await start(() => clock.passDeadline());
    const error = await catchError(list(server));
    const message = `no complete response from ${server.url} within 60000 ms`;
    expect(error).toMatchObject({ code: "timeout", message, retryable: true });
    expect(clock.open()).toBe(0);
  });

  test("the deadline ends a call whose response body stalls, and closes the connection", async () => {
    const clock = installDeadline();
    const closed = createGate();
    const server = await start((_request, response) => {
      response.on("close", () => closed.open());
      response.writeHead(200, jsonHead).write(page.slice(0, 5));
    });
    const fetchAndPass: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      queueMicrotask(() => clock.passDeadline());
      return response;
    };
    const error = await catchError(list(server, { fetch: fetchAndPass as TransportOptions["fetch"] }));
    expect(error.code).toBe("timeout");
    await closed.passed;
  });

  test("the deadline ends a call over a fetch that ignores signals", async () => {
    const clock = installDeadline();
    const deaf = (): Promise<Response> => new Promise(() => queueMicrotask(() => clock.passDeadline()));
    const server = await start(() => undefined);
    expect((await catchError(list(server, { fetch: deaf }))).code).toBe("timeout");
  });
});

describe("the caller's signal", () => {
  test("the caller's signal ends a call before it starts", async () => {
    const server = await start((_request, response) => response.end());
    const error = await catchError(list(server, {}, { signal: AbortSignal.abort("no") }));
    expect(error).toMatchObject({ code: "aborted", cause: "no" });
    expect(server.requests()).toBe(0);
  });

  test("the caller's signal ends a call that waits for headers, and closes the connection", async () => {
    const controller = new AbortController();
    const closed = createGate();
    const server = await start((request) => {
      request.on("close", () => closed.open());
      controller.abort(new Error("enough"));
    });
    const error = await catchError(list(server, {}, { signal: controller.signal }));
    expect(error).toMatchObject({ code: "aborted", cause: { message: "enough" } });
    await closed.passed;
  });

  test("the caller's signal ends a call in the middle of the body, and closes the connection", async () => {
    const controller = new AbortController();
    const closed = createGate();
    const server = await start((_request, response) => {
      response.on("close", () => closed.open());
      response.writeHead(200, jsonHead).write(page.slice(0, 5), () => controller.abort());
    });
    const error = await catchError(list(server, {}, { signal: controller.signal }));
    expect(error.code).toBe("aborted");
    await closed.passed;
  });

  test("the caller's signal has no listeners left after a call, so that one signal can serve many calls", async () => {
    const server = await start((_request, response) => response.writeHead(200, jsonHead).end(page));
    const { signal } = new AbortController();
    let listeners = 0;
    const count = (name: "addEventListener" | "removeEventListener", step: number): void => {
      const original = signal[name].bind(signal);
      signal[name] = (...parameters: Parameters<AbortSignal["addEventListener"]>) => {
        listeners += step;
        original(...parameters);
      };
    };
    count("addEventListener", 1);
    count("removeEventListener", -1);
    await list(server, {}, { signal });
    await list(server, {}, { signal });
    expect(listeners).toBe(0);
  });
});

test("a redirect is not followed, so the key is not sent to another server", async () => {
  const other = await start((_request, response) => response.writeHead(200, jsonHead).end(page));
  const server = await start((_request, response) => response.writeHead(302, { location: other.url }).end());
  const error = await catchError(list(server));
  expect(error).toMatchObject({
    code: "redirected",
    message: `HTTP 302 from ${server.url}`,
    status: 302,
    retryable: false,
  });
  expect([server.requests(), other.requests()]).toEqual([1, 0]);
});

describe("the size limit of responses", () => {
  const limits = { maxResponseBytes: 1_000 };

  test("the size limit applies while an endless body is read", async () => {
    const server = await start((_request, response) => {
      response.writeHead(200, jsonHead);
      const more = (): void => {
        while (!response.closed && response.write(" ".repeat(500)));
      };
      response.on("drain", more);
      more();
    });
    expect(await catchError(list(server, limits))).toMatchObject({
      code: "response_too_large",
      message: `more than 1000 bytes from ${server.url}`,
    });
  });

  test("the size limit applies exactly to the byte", async () => {
    const body = page.padEnd(1_000);
    const server = await start((_request, response) => response.writeHead(200, jsonHead).end(body));
    await expect(list(server, limits)).resolves.toEqual(JSON.parse(page));
    expect((await catchError(list(server, { maxResponseBytes: 999 }))).code).toBe("response_too_large");
  });

  test("the size limit applies to error responses too, which keep their status", async () => {
    const server = await start((_request, response) => response.writeHead(404, jsonHead).end("x".repeat(2_000)));
    expect(await catchError(list(server, limits))).toMatchObject({ code: "http_error", status: 404 });
  });
});

test("a read whose connection breaks in the middle of the body is repeated", async () => {
  let count = 0;
  const server = await start((_request, response) => {
    count += 1;
    response.writeHead(200, { ...jsonHead, "content-length": page.length });
    if (count < 3) response.write(page.slice(0, 5), () => response.destroy());
    else response.end(page);
  });
  await expect(list(server)).resolves.toEqual(JSON.parse(page));
  expect(server.requests()).toBe(3);
});

test("a connection failure names the address and the reason, and keeps its cause", async () => {
  const server = await startLoopbackServer(() => undefined);
  await server.close();
  const attempts: number[] = [];
  const onEvent = (event: TransportEvent): void => void (event.type === "end" && attempts.push(event.attempts));
  const error = await catchError(list(server, { onEvent }));
  expect(error).toMatchObject({
    code: "connection_failed",
    message: `cannot reach ${server.url}: connection refused`,
    retryable: true,
    cause: expect.any(TypeError),
  });
  expect(attempts).toEqual([3]);
});

test("importing the package reads no platform global", async () => {
  const names = ["fetch", "crypto", "AbortController", "setTimeout", "TextDecoder"] as const;
  const originals = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  const read: string[] = [];
  vi.resetModules();
  for (const [name, original] of originals) {
    const get = (): unknown => {
      // The test loader reads globals too.
      if (new Error("who").stack?.includes("/client/src/") === true) read.push(name);
      return original?.value ?? original?.get?.call(globalThis);
    };
    Object.defineProperty(globalThis, name, { configurable: true, get });
  }
  try {
    expect(Object.keys(await import("../src/index.ts"))).toContain("createClient");
  } finally {
    for (const [name, original] of originals)
      if (original !== undefined) Object.defineProperty(globalThis, name, original);
  }
  expect(read).toEqual([]);
});
