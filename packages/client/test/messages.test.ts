/** The list of the messages of a device. */
import type { MessageStatus } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import { createFakeServer, respondWithJson, respondWithProblem, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";

const message: MessageStatus = {
  ...{ clientMessageId: "m-1", deviceId: "d-1", agentId: "a", conversationId: "default", state: "finished" },
  ...{ stopReason: "end_turn", durationMs: 40, sentAt: 1, updatedAt: 2 },
};

function setUp(...responses: readonly (() => Response)[]) {
  const script = scriptFetch(...responses);
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: script.fetch });
  return { script, messages: environments.messages };
}

test("messages.list returns the page that its query selects", async () => {
  const page = { messages: [message], hasNextPage: true, cursor: "1.WyJhIl0" };
  const { script, messages } = setUp(respondWithJson(200, page));
  const after = `1.${"x".repeat(200)}`;
  const query = { after, limit: 2, state: ["finished", "failed"], conversationId: "a b", include: "text" } as const;
  expect(await messages.list("c-1", { ...query, state: [...query.state], agentId: undefined })).toEqual(page);
  expect(script.seen[0]?.url).toBe(
    `http://127.0.0.1:1/v1/environments/c-1/messages?limit=2&conversationId=a+b&include=text&after=${after}&state=finished&state=failed`,
  );
});

test("messages.list selects one agent or several", async () => {
  const page = { messages: [message], hasNextPage: false, cursor: null };
  const { script, messages } = setUp(respondWithJson(200, page), respondWithJson(200, page));
  await messages.list("c-1", { agentId: "a" });
  await messages.list("c-1", { agentId: ["a", "b"] });
  expect(script.seen.map(({ url }) => new URL(url).searchParams.getAll("agentId"))).toEqual([["a"], ["a", "b"]]);
});

test("a list with null selects everything, as in the other lists", async () => {
  const page = { messages: [message], hasNextPage: false, cursor: null };
  const { script, messages } = setUp(respondWithJson(200, page));
  expect(await messages.list("c-1", null)).toEqual(page);
  for await (const each of messages.listAll("c-1", null)) expect(each).toEqual(message);
  expect(script.seen.map(({ url }) => new URL(url).search)).toEqual(["", ""]);
});

test("messages.listAll reads all pages, even empty ones, and ends when a server repeats a page", async () => {
  const page = (id: string, cursor: string | null, hasNextPage = true) =>
    respondWithJson(200, { messages: id === "" ? [] : [{ ...message, clientMessageId: id }], hasNextPage, cursor });
  const { script, messages } = setUp(
    page("m-3", "3.aaaa"),
    page("", "2.aaaa"),
    page("m-1", "1.aaaa"),
    page("m-0", "1.aaaa"),
  );
  const ids: string[] = [];
  for await (const { clientMessageId } of messages.listAll("d-1", { limit: 1 })) ids.push(clientMessageId);
  expect(ids).toEqual(["m-3", "m-1", "m-0"]);
  expect(script.seen.map(({ url }) => new URL(url).searchParams.get("after"))).toEqual([
    null,
    "3.aaaa",
    "2.aaaa",
    "1.aaaa",
  ]);
});

test.each(["method_not_allowed", "endpoint_not_found"] as const)(
  "a server without message lists, which responds %s, is reported as such",
  async (code) => {
    const { messages } = setUp(respondWithProblem(code));
    expect((await catchError(messages.list("c-1"))).message).toMatch(/^the server does not offer listMessages/);
  },
);

test("an invalid argument is an error before any request", async () => {
  const { script, messages } = setUp();
  for (const query of [{ limit: 0 }, { conversationId: "" }])
    expect(await catchError(messages.list("c-1", query))).toMatchObject({ code: "invalid_argument" });
  expect(await catchError(messages.list("a/b"))).toMatchObject({ code: "invalid_argument" });
  expect(script.seen).toEqual([]);
});

test("the fake server lists the messages that its devices received", async () => {
  const server = createFakeServer();
  server.put({ deviceId: "d-1" });
  const connectionId = server.connect("d-1");
  const { environments } = createClient({
    baseUrl: "http://fake.test",
    apiKey: "k",
    fetch: server.fetch,
    allowInsecure: true,
  });
  for (const id of ["m-1", "m-2", "m-3"])
    await environments.sendMessage(connectionId, {
      agentId: "a",
      messages: [{ role: "user", content: "hi", client_message_id: id }],
    });
  server.report("m-2", { state: "finished", stopReason: "end_turn", text: "done" });
  const { messages } = environments;
  const page = await messages.list("d-1", { limit: 2 });
  expect(page.messages.map(({ clientMessageId, state }) => [clientMessageId, state])).toEqual([
    ["m-3", "accepted"],
    ["m-2", "finished"],
  ]);
  expect((await messages.list(connectionId, { after: page.cursor ?? "" })).messages).toMatchObject([
    { clientMessageId: "m-1" },
  ]);
  const finished = await messages.list(connectionId, { state: ["finished"], include: "text" });
  expect(finished.messages).toMatchObject([{ clientMessageId: "m-2", text: "done" }]);
  expect(await catchError(messages.list("d-2"))).toMatchObject({ code: "connection_not_found" });
});
