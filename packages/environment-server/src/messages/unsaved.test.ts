import { openSqlite, sha256Hex } from "@letta-environments/platform/node";
import type { SendMessageBody } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { planDelivery, storedIds } from "../delivery/plan.ts";
import { createSqliteEnvironmentStore } from "../sqlite.ts";
import { receivedStatus } from "./state-machine.ts";
import { createUnsavedFinder } from "./unsaved.ts";

const scope = { environmentId: "env-1", agentId: "agent-1", conversationId: "default" };
const time = { now: () => 5_000, wallAt: (serverTime: number) => serverTime + 1_000_000 };

test("messages without a stored status are found, but not decisions or Idempotency-Keys", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const messages: SendMessageBody["messages"] = [
    { role: "user", content: "hello", client_message_id: "m-1" },
    { type: "approval", approvals: [{ type: "approval", approve: true, tool_call_id: "call-1" }] },
  ];
  const planned = planDelivery({ agentId: "agent-1", messages }, "key", sha256Hex);
  expect(planned).toMatchObject({ kind: "planned", plan: { parts: { length: 2 } } });
  const parts = planned.kind === "planned" ? planned.plan.parts : [];
  for (const [index, part] of parts.entries())
    await store.reserve({ id: `msg-${index}`, scope, messageIds: storedIds(part), fingerprint: "f" }, 1_000);
  const status = { ...receivedStatus, state: "unknown" };
  const times = { sentAt: 1_001_000, updatedAt: 1_001_000 };
  expect(await createUnsavedFinder(store, time)("env-1")).toEqual([
    { scope, messageId: "m-1", deliveryId: "msg-0", approvalPolicy: null, status, ...times },
  ]);
});

test("the status of an earlier message with the same id does not count as the message's own", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  await store.reserve({ id: "msg-1", scope, messageIds: ["m-1"], fingerprint: "f" }, 1_000);
  const saved = ["msg-0"];
  const message = { scope, messageId: "m-1", approvalPolicy: null, status: receivedStatus, sentAt: 1, updatedAt: 1 };
  const readMessages = async () => saved.map((deliveryId) => ({ ...message, deliveryId }));
  const findUnsaved = createUnsavedFinder({ ...store, readMessages }, time);
  expect(await findUnsaved("env-1")).toHaveLength(1);
  saved.push("msg-1");
  expect(await findUnsaved("env-1")).toEqual([]);
});

test("messages of an earlier process are found even if the current one has sent others long after them", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  await store.reserve({ id: "msg-1", scope, messageIds: ["m-1"], fingerprint: "f" }, 1_000);
  const findUnsaved = createUnsavedFinder(store, time);
  await store.reserve({ id: "msg-2", scope, messageIds: ["m-2"], fingerprint: "f" }, 60_000);
  expect((await findUnsaved("env-1")).map(({ messageId }) => messageId)).toEqual(["m-1"]);
});
