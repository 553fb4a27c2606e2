import { expect, test } from "vitest";
import { createClient, type Fetch, type RequestOptions } from "../src/index.ts";
import { createFakeServer, exampleEnvironment, respondWithJson, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";

const options = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test" };

function serverWith(count: number) {
  const server = createFakeServer();
  for (let index = 1; index <= count; index += 1) server.put({ deviceId: `d-${index}` });
  return { server, environments: createClient({ ...options, fetch: server.fetch }).environments };
}

test("listAll yields every row once and requests each page only when it is needed", async () => {
  const { server, environments } = serverWith(5);
  const seen: string[] = [];
  for await (const { deviceId } of environments.listAll({ limit: 2 })) {
    seen.push(deviceId);
    expect(server.requests).toHaveLength(Math.ceil(seen.length / 2));
  }
  expect(seen).toEqual(["d-1", "d-2", "d-3", "d-4", "d-5"]);
});

test("pages keep the query, and leaving the loop requests no further page", async () => {
  const { server, environments } = serverWith(5);
  for await (const page of environments.listPages({ limit: 2, after: "env-d-1" })) {
    expect(page.connections.map(({ deviceId }) => deviceId)).toEqual(["d-2", "d-3"]);
    break;
  }
  expect(server.requests.map(({ url }) => new URL(url).search)).toEqual(["?limit=2&after=env-d-1"]);
});

test("a server that returns the same page again ends the iteration", async () => {
  const page = { connections: [exampleEnvironment({ deviceId: "d-1" })], hasNextPage: true };
  const script = scriptFetch(respondWithJson(200, page));
  const { environments } = createClient({ ...options, fetch: script.fetch });
  const rows = [];
  for await (const row of environments.listAll()) rows.push(row);
  expect(rows).toHaveLength(2);
  expect(script.seen).toHaveLength(2);
});

test("a server whose pages lead back to an earlier one ends the iteration", async () => {
  let requests = 0;
  const fetch: Fetch = async (url) => {
    requests += 1;
    const { pathname } = new URL(url);
    const isEven = requests % 2 === 0;
    const page = pathname.endsWith("/messages")
      ? { messages: [], cursor: isEven ? "2.aaaa" : "1.aaaa" }
      : { connections: [exampleEnvironment({ deviceId: isEven ? "b" : "a" })] };
    return respondWithJson(200, { ...page, hasNextPage: requests < 50 })();
  };
  const { environments } = createClient({ ...options, fetch });
  const ids = [];
  for await (const { deviceId } of environments.listAll()) ids.push(deviceId);
  expect(ids).toEqual(["a", "b", "a"]);
  requests = 0;
  for await (const _message of environments.messages.listAll("d-1")) ids.push("");
  expect(requests).toBe(3);
});

test.each(["listAll", "listPages", "messages.listAll"] as const)(
  "the iteration %s ends its pending request when it is left, and the caller's signal ends it with an error",
  async (operation) => {
    const signals: (AbortSignal | null | undefined)[] = [];
    const fetch: Fetch = (_url, { signal }) => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    const { environments } = createClient({ ...options, fetch });
    const start = (more?: RequestOptions): AsyncGenerator<unknown, void> => {
      if (operation === "messages.listAll") return environments.messages.listAll("d-1", {}, more);
      return environments[operation]({}, more);
    };
    const left = start();
    const next = left.next();
    await new Promise((resolve) => void setImmediate(resolve));
    expect(await left.return()).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
    const controller = new AbortController();
    const aborted = catchError(start({ signal: controller.signal }).next());
    await new Promise((resolve) => void setImmediate(resolve));
    controller.abort(new Error("enough"));
    expect(await aborted).toMatchObject({ code: "aborted", cause: new Error("enough") });
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
    const wrong = start({ signal: {} as AbortSignal }).next();
    expect(await catchError(wrong)).toMatchObject({ code: "invalid_argument", issues: [{ member: "signal" }] });
  },
);

test("a page whose last id is not a valid cursor is an invalid response", async () => {
  const page = { connections: [exampleEnvironment({ id: "a/b", deviceId: "d-1" })], hasNextPage: true };
  const { fetch, seen } = scriptFetch(respondWithJson(200, page));
  const { environments } = createClient({ ...options, fetch });
  const error = await catchError(environments.listAll().next());
  expect(error).toMatchObject({ code: "invalid_response", message: "invalid response: connections", status: 200 });
  expect(seen).toHaveLength(1);
});

test("a failure ends the iteration with a typed error", async () => {
  const { server, environments } = serverWith(3);
  const pages = environments.listPages({ limit: 2 });
  await pages.next();
  server.interrupt(respondWithJson(403, { errorCode: "insufficient_scope", message: "No." }));
  expect(await catchError(pages.next())).toMatchObject({ code: "insufficient_scope", status: 403 });
});

test("a query that breaks a rule throws before any request", async () => {
  const { server, environments } = serverWith(1);
  expect(await catchError(environments.listAll({ limit: 0 }).next())).toMatchObject({ code: "invalid_argument" });
  expect(server.requests).toEqual([]);
});

test.each(["listAll", "listPages", "messages.listAll"] as const)(
  "the iteration %s yields nothing more after the caller aborts, and does not end as if the list were complete",
  async (operation) => {
    const connections = ["d-1", "d-2"].map((deviceId) => exampleEnvironment({ deviceId }));
    const messages = ["m-1", "m-2"].map((clientMessageId) => ({ clientMessageId, state: "finished" }));
    const page = { connections, messages, cursor: "1.a", hasNextPage: operation === "listPages" };
    const { fetch } = scriptFetch(respondWithJson(200, page));
    const { environments } = createClient({ ...options, fetch });
    const controller = new AbortController();
    const { signal } = controller;
    const values: AsyncIterable<unknown> =
      operation === "messages.listAll"
        ? environments.messages.listAll("d-1", {}, { signal })
        : environments[operation]({}, { signal });
    let count = 0;
    const iteration = (async () => {
      for await (const _value of values) {
        count += 1;
        controller.abort(new Error("enough"));
      }
    })();
    expect(await catchError(iteration)).toMatchObject({ code: "aborted", cause: new Error("enough") });
    expect(count).toBe(1);
  },
);

test.each(["listAll", "listPages"] as const)(
  "the iteration %s refuses an empty page with a next page, because rows would be missing",
  async (operation) => {
    const { fetch } = scriptFetch(respondWithJson(200, { connections: [], hasNextPage: true }));
    const iteration = (async () => {
      for await (const _value of createClient({ ...options, fetch }).environments[operation]());
    })();
    expect(await catchError(iteration)).toMatchObject({ code: "invalid_response", status: 200 });
  },
);

test("a limit that is undefined counts as no limit", async () => {
  const { server, environments } = serverWith(1);
  for await (const _page of environments.listPages({ limit: undefined }));
  expect(server.requests.map(({ url }) => new URL(url).search)).toEqual(["?limit=100"]);
});

test("watch yields nothing more of a poll after the caller aborts", async () => {
  const { environments } = serverWith(3);
  const controller = new AbortController();
  const seen: string[] = [];
  for await (const { environment } of environments.watch({}, { signal: controller.signal })) {
    seen.push(environment.deviceId);
    controller.abort();
  }
  expect(seen).toEqual(["d-1"]);
});
