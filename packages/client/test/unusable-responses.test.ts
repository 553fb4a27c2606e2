import { expect, test } from "vitest";
import { createClient, createTransport, retrieveLastRuntime, type TransportOptions } from "../src/index.ts";
import { exampleEnvironment, respondWithJson, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";

function setUp(values: readonly unknown[], more: Partial<TransportOptions> = {}) {
  const { fetch, seen } = scriptFetch(...values.map((value) => respondWithJson(200, value)));
  const options = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch, ...more };
  return { environments: createClient(options).environments, transport: createTransport(options), seen };
}

const row = exampleEnvironment({ deviceId: "d-1", id: "env-1" });
const { id: _, ...rowWithoutId } = row;
const odd = { ...row, lastSeenAt: "now" };
const message = { role: "user" as const, content: "hi" };

async function readAll(rows: AsyncIterable<unknown>): Promise<unknown[]> {
  const read = [];
  for await (const each of rows) read.push(each);
  return read;
}

test.each<[string, unknown, string]>([
  ["nothing", {}, "connections"],
  ["another list", { connections: {}, hasNextPage: false }, "connections"],
  ["no hasNextPage", { connections: [row] }, "hasNextPage"],
  [
    "a row that is null behind a row with a harmless difference",
    { connections: [odd, null], hasNextPage: false },
    "connections[1]",
  ],
  ["a last row without id", { connections: [row, rowWithoutId], hasNextPage: true }, "connections[1].id"],
])("a list of environments with %s is an error for every method that reads it", async (_case, value, path) => {
  const expected = { code: "invalid_response", message: `invalid response: ${path}`, status: 200 };
  for (const validate of ["report", "off"] as const) {
    const { environments, seen } = setUp(Array(4).fill(value), { validate });
    expect(await catchError(environments.list())).toMatchObject(expected);
    expect(await catchError(readAll(environments.listAll()))).toMatchObject(expected);
    expect(await catchError(environments.watch().next())).toMatchObject(expected);
    const sending = environments.sendToDevice({ name: "box" }, { agentId: "a", messages: [message] });
    expect(await catchError(sending)).toMatchObject({ ...expected, outcome: "refused" });
    expect(seen).toHaveLength(4);
  }
});

test("members that an operation does not need may differ from the documented shape", async () => {
  const value = { connections: [odd], hasNextPage: false };
  const { environments } = setUp([value, value, odd]);
  expect(await environments.list()).toEqual(value);
  expect(await readAll(environments.listAll())).toEqual([odd]);
  expect(await environments.retrieve("d-1")).toEqual(odd);
});

test.each<[string, unknown, string]>([
  ["nothing", {}, "messages"],
  ["no hasNextPage", { messages: [] }, "hasNextPage"],
  ["a message without state", { messages: [{ clientMessageId: "m-1" }], hasNextPage: false }, "messages[0].state"],
  ["a next page but no cursor", { messages: [], hasNextPage: true, cursor: null }, "cursor"],
])("a list of messages with %s is an error", async (_case, value, path) => {
  const { environments } = setUp([value, value]);
  const expected = { code: "invalid_response", message: `invalid response: ${path}`, status: 200 };
  expect(await catchError(environments.messages.list("c-1"))).toMatchObject(expected);
  expect(await catchError(readAll(environments.messages.listAll("c-1")))).toMatchObject(expected);
});

test.each<[string, (client: ReturnType<typeof setUp>) => Promise<unknown>, string]>([
  ["a list of approvals", ({ environments }) => environments.approvals.list(), "approvals"],
  ["a device", ({ environments }) => environments.retrieve("d-1"), "id"],
  ["a device with new labels", ({ environments }) => environments.update("d-1", { displayName: "box" }), "id"],
  ["the status of a message", ({ environments }) => environments.messages.retrieve("c-1", "m-1"), "state"],
  ["the turn of a message", ({ environments }) => environments.messages.wait("c-1", "m-1"), "state"],
  ["the last runtime", ({ transport }) => retrieveLastRuntime(transport, { agentId: "a" }), "deviceId"],
  ["a send", ({ environments }) => environments.sendMessage("c-1", { messages: [message] }), "success"],
])("an empty object is not a valid response for %s", async (_case, call, path) => {
  expect(await catchError(call(setUp([{}])))).toMatchObject({
    code: "invalid_response",
    message: `invalid response: ${path}`,
    retryable: false,
  });
});
