/** Requests for permission that are too long for the host to hand over, such as one to write a file of several megabytes. */
import type { SendMessageBody } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createHarness, type Harness, withApprove } from "./support/harness.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };

async function list(harness: Harness): Promise<unknown> {
  return (await harness.call("GET", "/v1/environments/approvals", { principal: withApprove })).body["approvals"];
}

describe("requests of several megabytes, of which the host reads only the start and end", () => {
  const start = (toolCallId: string): string =>
    `{"type":"control_request","request_id":"perm-${toolCallId}","request":{"subtype":"can_use_tool","tool_name":"Write","input":{"content":"xx`;
  const end = `xx"}},"agent_id":"agent-1","conversation_id":"default","runtime":${JSON.stringify(runtime)},"event_seq":3}`;

  async function askLong(start_: string, end_: string) {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const sent = harness.send(connectionId);
    await harness.settle();
    socket.acknowledge();
    await sent;
    socket.listener.onLongText?.(3_000_000, start_, end_);
    return { harness, connectionId, socket };
  }

  test("a request of several megabytes is listed, and its message waits for it", async () => {
    const { harness, connectionId } = await askLong(start("call-1"), end);
    const shown = { id: "call-1", tool: "Write", input: null, inputTruncated: true, clientMessageId: "m-1" };
    expect(await list(harness)).toMatchObject([shown]);
    expect((await harness.call("GET", `/v1/environments/${connectionId}/messages/m-1`)).body["state"]).toBe(
      "waiting_for_approval",
    );
  });

  test("a request of several megabytes can be decided even if its tool cannot be read, because the device knows its own requests", async () => {
    const { harness, connectionId, socket } = await askLong(start("call-1").replace("Write", '\\"'), end);
    expect(await list(harness)).toEqual([]);
    const messages: SendMessageBody["messages"] = [
      { type: "approval", approvals: [{ approve: true, tool_call_id: "call-1" }] },
    ];
    const decided = harness.send(connectionId, { messages }, { principal: withApprove });
    await harness.settle();
    socket.acknowledge({ accepted: true });
    expect((await decided).status).toBe(200);
    expect(socket.inputs().at(-1)?.payload).toMatchObject({ request_id: "perm-call-1" });
  });

  test("a request of several megabytes belongs to the conversation at the end of its frame, whatever its input contains", async () => {
    const named = `xx","runtime":{"agent_id":"agent-2","conversation_id":"default"}`;
    const { harness } = await askLong(start("call-1"), end.replace('xx"', named));
    expect(await list(harness)).toMatchObject([{ id: "call-1", agentId: "agent-1" }]);
  });

  test("a request of several megabytes counts with its length for the limits of its device", async () => {
    const { socket } = await askLong(start("call-1"), end);
    for (let count = 0; count < 8; count++) socket.listener.onLongText?.(3_000_000, start("call-1"), end);
    expect(socket.closes).toMatchObject([{ code: 1013 }]);
  });
});
