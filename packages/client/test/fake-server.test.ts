import { expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import { createFakeServer } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";

const message = { role: "user" as const, content: "hello", client_message_id: "m-1" };

test("the fake server refuses a send without an agent, with a repeated id, and with a known id and another text", async () => {
  const server = createFakeServer();
  server.put({ deviceId: "d-1", connectionName: "box" });
  server.connect("d-1");
  const { environments } = createClient({ baseUrl: "https://fake.example", apiKey: "key", fetch: server.fetch });
  const codeOf = async (body: Parameters<typeof environments.sendToDevice>[1]): Promise<string> =>
    (await catchError(environments.sendToDevice("d-1", body))).code;

  expect(await codeOf({ messages: [message] })).toBe("agent_required");
  expect(await codeOf({ agentId: "a", messages: [message, message] })).toBe("invalid_request");
  expect(await environments.sendToDevice("d-1", { agentId: "a", messages: [message] })).toMatchObject({
    outcome: "started",
  });
  expect(await environments.sendToDevice("d-1", { agentId: "a", messages: [message] })).toMatchObject({
    outcome: "duplicate",
  });
  expect(await codeOf({ agentId: "a", messages: [{ ...message, content: "other" }] })).toBe("message_id_reused");
  expect(server.taken).toHaveLength(1);
});
