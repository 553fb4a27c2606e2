/** Long texts of agents in the results of `letta-env mcp`. */
import { expect, onTestFinished, test } from "vitest";
import { reply, rowOf, serve } from "../support/fake-server.ts";
import { connectMcpClient, type McpClient } from "../support/mcp-client.ts";

/** Starts the program in front of a server whose device `d1` has 100 messages with these members. */
async function start(members: object): Promise<McpClient> {
  const statusOf = (clientMessageId: string): object => ({
    ...{ clientMessageId, deviceId: "d1", agentId: "a1", conversationId: "default", state: "finished" },
    ...{ updatedAt: 1, stopReason: "end_turn", ...members },
  });
  const { env } = await serve(({ method, target }, response) => {
    const [path = ""] = target.split("?");
    if (method === "POST") return reply(response, 200, { success: true, status: "accepted" });
    if (path.endsWith("/messages")) {
      const messages = Array.from({ length: 100 }, (_, index) => statusOf(`m${index}`));
      return reply(response, 200, { messages, hasNextPage: false, cursor: null });
    }
    reply(response, 200, path.includes("/messages/") ? statusOf("m1") : rowOf("c1"));
  });
  const client = await connectMcpClient(env);
  onTestFinished(() => client.close());
  return client;
}

test("list_messages has the start and the end of long replies, and message_status has all of it", async () => {
  const text = `start ${"x".repeat(60_000)} end`;
  const client = await start({ text });
  const { text: result, output } = await client.call("list_messages", { device: "d1", replies: true });
  expect(result.length).toBeLessThan(60_000);
  expect(output).toMatchObject({ hasMore: true });
  const [first] = output["messages"] as readonly object[];
  expect(first).toMatchObject({ reply: expect.stringMatching(/^start x+…x+ end$/), replyTruncated: true });
  const status = await client.call("message_status", { connectionId: "c1", messageId: "m1" });
  expect(status.output).toMatchObject({ reply: text, replyTruncated: false });
});

test("100 messages with long texts of invisible characters fit into one result", async () => {
  const hidden = "\u202e".repeat(5_000);
  const client = await start({ state: "failed", text: hidden, error: hidden, stopReason: hidden });
  const { isError, text } = await client.call("list_messages", { device: "d1", replies: true, limit: 100 });
  expect([isError, text.length < 600_000]).toEqual([false, true]);
});

test("send_message returns a limited part of a reply that is longer than replies of a server are", async () => {
  const client = await start({ text: "x".repeat(1_000_000) });
  const { isError, output } = await client.call("send_message", {
    device: "d1",
    agentId: "a1",
    message: "hi",
    messageId: "m1",
  });
  expect(isError).toBe(false);
  const { reply: shown, replyTruncated } = output["turn"] as { reply: string; replyTruncated: boolean };
  expect([shown.length, replyTruncated]).toEqual([65_537, true]);
});
