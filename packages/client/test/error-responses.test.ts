import { problemResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createClient, type EnvironmentsResource, type SendMessageInput, type TransportOptions } from "../src/index.ts";
import { catchError } from "./catch-error.ts";
import { respondWithProblem } from "../src/testing/index.ts";
import { json, scriptFetch } from "./scripted-fetch.ts";

const key = "lek_s3cr3t-marker";
const hello: SendMessageInput = { messages: [{ role: "user", content: "hello", client_message_id: "m-1" }] };

function clientOver(respond: () => Response | Error, more: Partial<TransportOptions> = {}) {
  const { fetch } = scriptFetch(respond);
  return createClient({ baseUrl: "http://127.0.0.1:1", apiKey: key, maxRetries: 0, fetch, ...more }).environments;
}

const text = (status: number, body: string, contentType: string) => (): Response =>
  new Response(body, { status, headers: { "content-type": contentType, "x-request-id": "r-1" } });

test("the size limit of a response applies whatever its Content-Length says", async () => {
  const headers = { "content-type": "application/json", "content-length": "5, 5" };
  const page = JSON.stringify({ connections: [], hasNextPage: false, padding: "x".repeat(500) });
  const environments = clientOver(() => new Response(page, { headers }), { maxResponseBytes: 100 });
  expect(await catchError(environments.list())).toMatchObject({
    code: "response_too_large",
    message: "more than 100 bytes from http://127.0.0.1:1",
  });
});

describe("error responses", () => {
  test("problem details give the code, text, rules and request id", async () => {
    const issues = [{ member: "messages[0].role", rule: 'must be "user"' }];
    const { status, headers, body } = problemResponse("invalid_request", {
      issues,
      headers: { "x-request-id": "r-1" },
    });
    const error = await catchError(
      clientOver(() => new Response(String(body), { status, headers })).sendMessage("c-1", hello),
    );
    expect(error).toMatchObject({
      code: "invalid_request",
      message: 'messages[0].role must be "user"',
      status: 400,
      retryable: false,
      requestId: "r-1",
      issues,
      problem: { type: "urn:letta-environments:problem:invalid_request", errorCode: "invalid_request" },
      clientMessageIds: ["m-1"],
    });
  });

  test("a device_offline problem keeps its code and status", async () => {
    const { status, headers, body } = problemResponse("device_offline");
    const error = await catchError(
      clientOver(() => new Response(String(body), { status, headers })).sendMessage("c-1", hello),
    );
    expect(error).toMatchObject({ code: "device_offline", status: 409, retryable: false });
  });

  test.each<[string, () => Response, object]>([
    [
      "a code that is newer than this client",
      json(418, { errorCode: "too_hot", message: "Wait." }),
      { code: "too_hot", message: "Wait." },
    ],
    ["only a message", json(404, { message: "Not here" }), { code: "http_error", message: "Not here" }],
    ["only a detail", json(404, { detail: "Not here" }), { code: "http_error", message: "Not here" }],
    ["only an error", json(401, { error: "Unauthorized" }), { code: "http_error", message: "Unauthorized" }],
    [
      "details that are no text",
      json(422, { detail: [{ loc: [] }] }),
      { code: "http_error", message: "HTTP 422 from http://127.0.0.1:1" },
    ],
    ["HTML", text(502, "<h1>Bad gateway</h1>", "text/html"), { code: "http_error", status: 502, requestId: "r-1" }],
    ["nothing", () => new Response(null, { status: 500 }), { message: "HTTP 500 from http://127.0.0.1:1" }],
    ["an array", json(400, ["x"]), { code: "http_error", status: 400 }],
    ["a client's code", json(400, { errorCode: "aborted", message: "x" }), { code: "http_error", message: "x" }],
    ["an invalid code", json(400, { errorCode: "a b\n", message: "x" }), { code: "http_error" }],
    ["a code of two words", json(400, { errorCode: "a b", message: "x" }), { code: "http_error" }],
    ["a code that is too long", json(400, { errorCode: "x".repeat(65), message: "x" }), { code: "http_error" }],
    ["several lines", json(400, { message: "a b\r\n\u0000c\u001b[31m" }), { message: "a b" }],
  ])("an error response becomes one typed error: %s", async (_case, respond, expected) => {
    expect(await catchError(clientOver(respond).retrieve("d-1"))).toMatchObject(expected);
  });

  test("a server cannot produce the code aborted, which only the caller's signal does", async () => {
    const error = await catchError(clientOver(json(400, { errorCode: "aborted", message: "x" })).list());
    expect(error).toMatchObject({ code: "http_error", message: "x" });
  });

  test("an error has no members that do not apply", async () => {
    const plain = await catchError(clientOver(json(500, {})).list());
    expect(Object.keys(plain).toSorted()).toEqual(["code", "name", "requestId", "retryable", "status"]);
    const aborted = await catchError(clientOver(json(200, {})).list({}, { signal: AbortSignal.abort() }));
    expect(Object.keys(aborted).toSorted()).toEqual(["code", "name", "retryable"]);
    const thrown = await catchError(
      createClient({
        baseUrl: "http://127.0.0.1:1",
        apiKey: key,
        maxRetries: 0,
        fetch: () => Promise.reject(),
      }).environments.list(),
    );
    expect(thrown).not.toHaveProperty("cause");
  });

  test("a body without a title is not exposed as problem details", async () => {
    const error = await catchError(clientOver(json(404, { message: "Not here" })).list());
    expect(error).not.toHaveProperty("problem");
  });

  test("a long error text is cut to 500 characters", async () => {
    const error = await catchError(clientOver(json(400, { message: "x".repeat(10_000) })).list());
    expect(error.message).toHaveLength(500);
  });

  test("an error response of more than 64 KiB has no details, since parsing megabytes would block the process beyond any time limit", async () => {
    const detailsOf = async (length: number) => catchError(clientOver(json(500, { title: "x".repeat(length) })).list());
    expect(await detailsOf(2 ** 16)).toMatchObject({
      code: "http_error",
      status: 500,
      message: "HTTP 500 from http://127.0.0.1:1",
    });
    expect(await detailsOf(2 ** 16 - 20)).toMatchObject({ code: "http_error", status: 500, message: "x".repeat(500) });
  });

  test("an error response larger than maxResponseBytes keeps its details", async () => {
    const error = await catchError(clientOver(json(500, { title: "x".repeat(100) }), { maxResponseBytes: 100 }).list());
    expect(error).toMatchObject({ code: "http_error", message: "x".repeat(100) });
  });

  test.each([400, 404, 503])("a problem whose type is no text is an error with its status %i", async (status) => {
    const body = { title: "Bad", type: { toString: 1 }, delivery: "unknown" };
    const environments = clientOver(json(status, body));
    const expected = { code: "http_error", status, message: "Bad", problem: body };
    expect(await catchError(environments.list())).toMatchObject(expected);
    expect(await catchError(environments.sendMessage("c-1", hello))).toMatchObject({
      ...expected,
      outcome: "unknown",
    });
  });

  test("a problem whose type is no text is a clear refusal, also when the device is looked up again", async () => {
    const refusal = json(404, { title: "Bad", type: { toString: 1 } });
    const row = { id: "e-1", deviceId: "d-1", connectionId: "c-1", lastHeartbeat: Date.now() };
    const script = scriptFetch(json(200, row), refusal, json(200, row));
    const { environments } = createClient({ baseUrl: "https://a.example", apiKey: key, fetch: script.fetch });
    const error = await catchError(environments.sendToDevice("d-1", hello));
    expect(error).toMatchObject({ code: "http_error", status: 404, outcome: "refused" });
  });

  test("an error response with a truncated body keeps its status", async () => {
    const torn = (): Response =>
      new Response(new ReadableStream({ pull: (controller) => controller.error(new Error("torn")) }), { status: 404 });
    expect(await catchError(clientOver(torn).list())).toMatchObject({ code: "http_error", status: 404 });
  });
});

test("a success with a truncated body is a connection failure that says so, and a read may be repeated", async () => {
  const torn = (): Response =>
    new Response(new ReadableStream({ pull: (controller) => controller.error(new Error("torn")) }), { status: 200 });
  const error = await catchError(clientOver(torn).list());
  const message = "cannot read the response from http://127.0.0.1:1: it broke off";
  expect(error).toMatchObject({ code: "connection_failed", message, retryable: true });
});

test("an error for a truncated or stalled response contains its request id", async () => {
  const start = (after: (stream: ReadableStreamDefaultController) => void) => (): Response =>
    new Response(new ReadableStream({ start: after }), { headers: { "x-request-id": "r-1" } });
  const cut = start((stream) => stream.error(new TypeError("terminated")));
  const broken = await catchError(clientOver(cut).list());
  expect(broken).toMatchObject({ code: "connection_failed", requestId: "r-1" });
  expect(broken).not.toHaveProperty("status");
  const late = await catchError(clientOver(start(() => undefined)).list({}, { timeoutMs: 20 }));
  expect(late).toMatchObject({ code: "timeout", requestId: "r-1" });
});

describe("success responses that differ from the documented shape", () => {
  test.each<[string, () => Response, string]>([
    ["HTML", text(200, "<html></html>", "text/html"), "invalid response"],
    ["text", text(200, "ok", "text/plain"), "invalid response"],
    ["malformed JSON", text(200, '{"connections":', "application/json"), "invalid response"],
    ["nothing", text(200, "", "application/json"), "invalid response"],
    [
      "another shape",
      json(200, { connections: [{ id: 5 }], hasNextPage: true }),
      "invalid response: connections[0].id",
    ],
    ["an array", json(200, []), "invalid response"],
  ])("a success response of the wrong shape is a typed error: %s", async (_case, respond, message) => {
    expect(await catchError(clientOver(respond, { validate: "throw" }).list())).toMatchObject({
      code: "invalid_response",
      message,
      status: 200,
      retryable: false,
    });
  });

  test("a character split over two chunks is decoded correctly", async () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ success: true, message: "é" }));
    const middle = bytes.indexOf(0xc3) + 1;
    const start = (stream: ReadableStreamDefaultController<Uint8Array>): void => {
      stream.enqueue(bytes.slice(0, middle));
      stream.enqueue(bytes.slice(middle));
      stream.close();
    };
    const environments = clientOver(() => new Response(new ReadableStream({ start })));
    expect(await environments.sendMessage("c-1", hello)).toMatchObject({ message: "é" });
  });

  test("JSON of the documented shape is accepted under any content type", async () => {
    const page = { connections: [], hasNextPage: false };
    expect(await clientOver(text(200, JSON.stringify(page), "text/plain")).list()).toEqual(page);
  });

  test("a 304 caused by an If-None-Match in the caller's headers is an error that says so", async () => {
    const headers = { "if-none-match": '"x"' };
    const error = await catchError(clientOver(() => new Response(null, { status: 304 })).list({}, { headers }));
    expect(error).toMatchObject({ code: "redirected", status: 304, message: "HTTP 304 from http://127.0.0.1:1" });
  });

  test("a redirect that a browser hides behind status 0 is not repeated, and as a response to a send it says nothing about delivery", async () => {
    let requests = 0;
    const members = { status: { value: 0 }, ok: { value: false } };
    const fetch = async (): Promise<Response> => {
      requests += 1;
      return Object.defineProperties(new Response(null, { status: 204 }), members);
    };
    const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: key, fetch });
    expect(await catchError(environments.list())).toMatchObject({
      code: "redirected",
      message: "redirect from http://127.0.0.1:1",
      status: 0,
      retryable: false,
    });
    const body = { agentId: "a", messages: [{ role: "user" as const, content: "hi" }] };
    const error = await catchError(environments.sendMessage("c-1", body));
    expect(error).toMatchObject({ code: "redirected", status: 0, outcome: "unknown" });
    expect(requests).toBe(2);
  });

  test("a 204 without a body is an error", async () => {
    const error = await catchError(clientOver(() => new Response(null, { status: 204 })).list());
    expect(error).toMatchObject({ code: "invalid_response", status: 204 });
  });

  test("the error of a send contains the message ids", async () => {
    const error = await catchError(clientOver(json(200, { ok: true })).sendMessage("c-1", hello));
    expect(error).toMatchObject({ code: "invalid_response", clientMessageIds: ["m-1"] });
  });
});

describe("errors and the API key", () => {
  const escaped = Array.from(key, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`).join(
    "",
  );

  test.each<[string, () => Response | Error]>([
    ["a text that repeats it", json(401, { message: `Bad key ${key}`, detail: key, errorCode: key })],
    ["an escaped one", text(401, `{"message":"${escaped}"}`, "application/json")],
    [
      "problem details",
      () => {
        const { status, headers, body } = problemResponse("invalid_key", { detail: `Bad key ${key}` });
        return new Response(String(body), { status, headers });
      },
    ],
    [
      "problem details with a member of its name",
      () => {
        const body = JSON.parse(String(problemResponse("invalid_key").body)) as object;
        return new Response(JSON.stringify({ ...body, [key]: true }), { status: 401 });
      },
    ],
    ["a broken connection", () => new TypeError("fetch failed")],
    ["a wrong shape", json(200, { connections: key })],
    ["malformed JSON", text(200, key, "application/json")],
    ["a request id that repeats it", json(401, {}, { "x-request-id": `Bearer ${key}` })],
    ["a request id of a success that repeats it", json(200, 5, { "x-request-id": key })],
  ])("no error contains the API key: %s", async (_case, respond) => {
    const error = await catchError(clientOver(respond).list());
    const everything = [
      error.message,
      error.stack,
      String(error.cause),
      JSON.stringify(error),
      JSON.stringify(error.problem),
    ];
    expect(everything.join("\n")).not.toContain("s3cr3t");
  });

  const row = { id: "e-1", deviceId: "d-1", connectionId: "c-1", connectionName: "box", lastHeartbeat: Date.now() };
  test.each<[string, object, (environments: EnvironmentsResource) => Promise<unknown>, string]>([
    [
      "a page of devices without a cursor",
      { connections: [], hasNextPage: true },
      (environments) => environments.listAll().next(),
      "invalid_response",
    ],
    [
      "a page of messages without a cursor",
      { messages: [], hasNextPage: true },
      (environments) => environments.messages.list("d-1"),
      "invalid_response",
    ],
    [
      "a success that refuses the message",
      { ...row, success: false, message: `device says ${key}` },
      (environments) => environments.sendToDevice("d-1", hello, { wait: "finished" }),
      "input_rejected",
    ],
  ])("no error about a success contains the API key: %s", async (_case, body, call, code) => {
    const error = await catchError(call(clientOver(json(200, body, { "x-request-id": `r-${key}` }))));
    expect(error).toMatchObject({ code, status: 200, requestId: "r-***" });
    expect([error.message, error.stack, JSON.stringify(error)].join("\n")).not.toContain("s3cr3t");
  });

  test("a success that refuses the message with a text of another type is an error without text", async () => {
    const body = { ...row, success: false, message: { toString: 1 } };
    const call = clientOver(json(200, body)).sendToDevice("d-1", hello, { wait: "finished" });
    const expected = { code: "input_rejected", message: "", outcome: "refused", clientMessageIds: ["m-1"] };
    expect(await catchError(call)).toMatchObject(expected);
  });

  test("the client object does not expose the API key", () => {
    const client = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: key });
    expect(JSON.stringify(client)).not.toContain("s3cr3t");
    const { messages, approvals, ...operations } = client.environments;
    for (const resource of [messages, approvals, operations])
      expect(Object.values(resource).every((member) => typeof member === "function")).toBe(true);
  });
});

test.each(["null", "401", "true"])(
  "an error response is reported as an error even if the API key is %j, which also occurs outside of JSON strings",
  async (apiKey) => {
    const script = scriptFetch(json(401, { errorCode: "invalid_key", status: 401, retryable: true, detail: null }));
    const { environments } = createClient({ baseUrl: "https://gateway.example", apiKey, fetch: script.fetch });
    const error = await catchError(environments.list());
    expect([error.status, error.retryable, script.seen.length]).toEqual([401, false, 1]);
  },
);

test.each(["key", "error", "rate", "e", "503"])(
  "an API key %j that is a common word changes neither the code of a problem nor what it says about delivery",
  async (apiKey) => {
    const code = apiKey === "key" ? "key_store_unavailable" : "rate_limited";
    const { status, headers, body } = problemResponse(code, { detail: `Bad key ${apiKey}` });
    const script = scriptFetch(() => new Response(String(body), { status, headers }));
    const { environments } = createClient({
      baseUrl: "https://gateway.example",
      apiKey,
      fetch: script.fetch,
      maxRetries: 0,
    });
    const error = await catchError(environments.sendMessage("c-1", hello));
    expect(error).toMatchObject({ code, outcome: "refused", retryable: true });
    expect(error.message).not.toContain(apiKey);
    expect(error.problem?.detail).not.toContain(apiKey);
  },
);

test.each(["k", "no", "now"])(
  "an API key %j that is a part of a word does not change whether a message may have been delivered",
  async (apiKey) => {
    const respond = respondWithProblem("send_in_progress", { members: { delivery: "unknown" }, retryable: false });
    const { environments } = createClient({ baseUrl: "https://a.example", apiKey, fetch: scriptFetch(respond).fetch });
    const error = await catchError(environments.sendMessage("c-1", hello));
    expect([error.outcome, error.problem?.delivery]).toEqual(["unknown", "unknown"]);
  },
);

test.each(["opensesame", "open_sesame_and_everything_behind_it"])(
  "the API key %j is not redacted from codes and member names of an error",
  async (apiKey) => {
    const body = { title: "Bad", errorCode: apiKey, [apiKey]: { [apiKey]: [apiKey] } };
    const { environments } = createClient({
      baseUrl: "https://a.example",
      apiKey,
      fetch: scriptFetch(json(401, body)).fetch,
    });
    const error = await catchError(environments.list());
    expect(error.code).toBe("http_error");
    expect(JSON.stringify([error, error.problem])).not.toContain(apiKey);
  },
);
