/** Middleware: functions around `fetch`, which see every attempt of a call. */
import { beforeEach, describe, expect, test } from "vitest";
import { LettaEnvironmentsError, type Middleware, type TransportEvent } from "../src/index.ts";
import { respondWithJson, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { createHandClock } from "./hand-clock.ts";
import { installRandom } from "./install-clock.ts";
import { broken, clientOver, deduplicatingClient, emptyPage, hello, page, sent } from "./scripted-fetch.ts";

beforeEach(() => {
  createHandClock();
  installRandom(1);
});

describe("middleware", () => {
  test("middleware runs around every attempt, the first outermost, and can change the request", async () => {
    const order: string[] = [];
    const named =
      (name: string): Middleware =>
      (request, next) => {
        order.push(`${name}${request.attempt}`);
        return next({ ...request, headers: { ...request.headers, [name]: "1" } });
      };
    const script = scriptFetch(broken, emptyPage);
    await clientOver(script, { middleware: [named("outer"), named("inner")] }).list();
    expect(order).toEqual(["outer1", "inner1", "outer2", "inner2"]);
    expect(script.seen[1]?.init.headers).toMatchObject({ outer: "1", inner: "1", authorization: "Bearer lek_test" });
  });

  test("middleware can send a request twice, as for a fresh token, or respond itself", async () => {
    const script = scriptFetch(respondWithJson(401, {}), emptyPage);
    const refresh: Middleware = async (request, next) => {
      const response = await next(request);
      if (response.status !== 401) return response;
      return next({ ...request, headers: { ...request.headers, authorization: "Bearer fresh" } });
    };
    await clientOver(script, { middleware: refresh }).list();
    expect(script.seen[1]?.init.headers).toMatchObject({ authorization: "Bearer fresh" });
    const own = scriptFetch(broken);
    await expect(clientOver(own, { middleware: async () => emptyPage() }).list()).resolves.toEqual(page);
    expect(own.seen).toEqual([]);
  });

  test("middleware that throws an error of this package does not cause a second send", async () => {
    const cause = new LettaEnvironmentsError({ code: "http_error", message: "log", retryable: true, status: 503 });
    const middleware: Middleware = async (request, next) => {
      await next(request);
      throw Object.freeze(cause);
    };
    const script = scriptFetch(sent);
    const approval = { messages: [{ type: "approval" as const, approvals: [{ approve: true, tool_call_id: "t" }] }] };
    const error = await catchError(clientOver(script, { middleware }).sendMessage("c-1", approval));
    expect(error).toMatchObject({ code: "connection_failed", outcome: "unknown", retryable: false, cause });
    expect(script.seen).toHaveLength(1);
  });

  test.each<[string, Middleware]>([
    [
      "reads",
      async (request, next) => {
        const response = await next(request);
        await response.text();
        return response;
      },
    ],
    [
      "locks",
      async (request, next) => {
        const response = await next(request);
        response.body?.getReader();
        return response;
      },
    ],
  ])("middleware that %s the body is named as the reason, and nothing is repeated", async (_case, middleware) => {
    const expected = {
      code: "invalid_response",
      status: 200,
      retryable: false,
      message: expect.stringContaining("already read"),
    };
    const reading = scriptFetch(emptyPage);
    expect(await catchError(clientOver(reading, { middleware }).list())).toMatchObject(expected);
    const sending = scriptFetch(sent);
    const error = await catchError(clientOver(sending, { middleware }).sendMessage("c-1", hello));
    expect(error).toMatchObject({ ...expected, outcome: "unknown" });
    const streaming = scriptFetch(() => new Response("", { headers: { "content-type": "text/event-stream" } }));
    expect(await catchError(clientOver(streaming, { middleware }).events().next())).toMatchObject(expected);
    expect([reading, sending, streaming].map(({ seen }) => seen.length)).toEqual([1, 1, 1]);
  });

  test("middleware and fetch see the platform's AbortError when a call ends", async () => {
    const controller = new AbortController();
    let reason: unknown;
    const middleware: Middleware = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject((reason = signal.reason)));
        controller.abort();
      });
    const call = clientOver(scriptFetch(emptyPage), { middleware }).list({}, { signal: controller.signal });
    expect(await catchError(call)).toMatchObject({ code: "aborted" });
    expect(reason).toMatchObject({ name: "AbortError" });
  });

  test.each<[string, unknown]>([
    ["a symbol", Symbol("x")],
    ["an object without a prototype", Object.create(null)],
  ])("middleware that throws %s causes a typed error, and every event of the call", async (_case, cause) => {
    const events: string[] = [];
    const middleware: Middleware = async (request, next) => next(request).then(() => Promise.reject(cause));
    const onEvent = ({ type }: TransportEvent) => void events.push(type);
    const error = await catchError(clientOver(scriptFetch(sent), { middleware, onEvent }).sendMessage("c-1", hello));
    expect(error).toMatchObject({ code: "connection_failed", outcome: "unknown", cause });
    expect(events).toEqual(["start", "end"]);
  });

  test("middleware that fails without calling `next` is named as the cause, and nothing is repeated, because it may have sent the message itself", async () => {
    const cause = new Error("login expired");
    const script = scriptFetch(sent);
    const environments = await deduplicatingClient(script, {
      middleware: async (request, next) =>
        request.call.operation === "listEnvironments" ? next(request) : Promise.reject(cause),
    });
    const expected = {
      code: "connection_failed",
      retryable: false,
      cause,
      message: expect.stringContaining("middleware"),
    };
    expect(await catchError(environments.sendMessage("c-1", hello))).toMatchObject({ ...expected, outcome: "unknown" });
    expect(await catchError(environments.retrieve("d-1"))).toMatchObject(expected);
    expect(await catchError(environments.events().next())).toMatchObject(expected);
    expect(script.seen).toEqual([]);
  });

  test("middleware that fails after it has sent the request leaves the outcome unknown", async () => {
    const script = scriptFetch(sent);
    const middleware: Middleware = async (request, next) => next(request).then(() => Promise.reject(new Error("late")));
    const error = await catchError(clientOver(script, { middleware }).sendMessage("c-1", hello));
    expect(error).toMatchObject({ code: "connection_failed", outcome: "unknown" });
  });

  test("middleware that throws synchronously causes a typed error with its cause", async () => {
    const cause = new Error("no token");
    const middleware: Middleware = () => {
      throw cause;
    };
    const error = await catchError(clientOver(scriptFetch(emptyPage), { middleware, maxRetries: 0 }).list());
    expect(error).toMatchObject({ code: "connection_failed", cause });
  });
});
