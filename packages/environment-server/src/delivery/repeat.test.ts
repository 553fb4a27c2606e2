import { expect, test } from "vitest";
import type { KnownMessage } from "../ports.ts";
import { type DeliveryPart, planDelivery } from "./plan.ts";
import { classifyRepeat } from "./repeat.ts";

const known = (messageId: string, change: Partial<KnownMessage> = {}): KnownMessage => ({
  messageId,
  deliveryId: "msg-1",
  fingerprint: "f",
  outcome: null,
  ...change,
});

const part = (messageIds: readonly string[], fingerprint = "f"): Parameters<typeof classifyRepeat>[0] => ({
  messageIds,
  fingerprint,
  keyIds: null,
});

test("a request without known ids is new", () => {
  expect(classifyRepeat(part(["a", "b"]), [])).toEqual({ kind: "new" });
});

test("a request is a repeat when all its ids belong to one send with the same content", () => {
  const outcome = { kind: "unknown" } as const;
  const repeat = classifyRepeat(part(["a", "b"]), [known("b", { outcome }), known("a", { outcome })]);
  expect(repeat).toEqual({ kind: "repeat", deliveryId: "msg-1", outcome });
});

test("a request with some known ids, or known ids with other content, is a conflict that names them", () => {
  const conflicts = [
    classifyRepeat(part(["a", "b"]), [known("b")]),
    classifyRepeat(part(["b"], "other"), [known("b")]),
    classifyRepeat(part(["a", "b"]), [known("b"), known("a", { deliveryId: "msg-2" })]),
  ];
  expect(conflicts).toEqual([
    { kind: "conflict", messageIds: new Set(["b"]) },
    { kind: "conflict", messageIds: new Set(["b"]) },
    { kind: "conflict", messageIds: new Set(["a", "b"]) },
  ]);
});

test("an Idempotency-Key belongs to one body, and a new one together with known ids changes nothing", () => {
  const keyed = (content: string): DeliveryPart => {
    const message = { role: "user", content, client_message_id: "a" } as const;
    const planned = planDelivery({ agentId: "agent", messages: [message] }, "k", (text) => `digest of ${String(text)}`);
    if (planned.kind === "refused") throw new Error("refused");
    return planned.plan.parts[0];
  };
  const first = keyed("x");
  const { fingerprint } = first;
  const ids = [first.keyIds?.key ?? "", first.keyIds?.keyAndBody ?? ""];
  const stored = ["a", ...ids].map((id) => known(id, { fingerprint }));
  expect(classifyRepeat(first, stored)).toMatchObject({ kind: "repeat" });
  expect(classifyRepeat(first, [known("a", { fingerprint })])).toMatchObject({ kind: "repeat" });
  const other = keyed("y");
  expect(classifyRepeat(other, [known(other.keyIds?.key ?? "", { fingerprint })])).toEqual({ kind: "key_conflict" });
});
