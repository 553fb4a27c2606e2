import { expect, test } from "vitest";
import type { KnownMessage } from "../ports.ts";
import { judgeRepeat } from "./judge-repeat.ts";

const known = (messageId: string, change: Partial<KnownMessage> = {}): KnownMessage => ({
  messageId,
  deliveryId: "msg-1",
  fingerprint: "f",
  outcome: null,
  ...change,
});

test("no known id makes a new request", () => {
  expect(judgeRepeat(["a", "b"], "f", [])).toEqual({ kind: "new" });
});

test("every id known from one send with the same content makes a repeat", () => {
  const outcome = { kind: "unknown" } as const;
  const verdict = judgeRepeat(["a", "b"], "f", [known("b", { outcome }), known("a", { outcome })]);
  expect(verdict).toEqual({ kind: "repeat", deliveryId: "msg-1", outcome });
});

test("anything in between is a conflict that names the known ids", () => {
  const conflicts = [
    judgeRepeat(["a", "b"], "f", [known("b")]),
    judgeRepeat(["b"], "other", [known("b")]),
    judgeRepeat(["a", "b"], "f", [known("b"), known("a", { deliveryId: "msg-2" })]),
  ];
  expect(conflicts).toEqual([
    { kind: "conflict", messageIds: new Set(["b"]) },
    { kind: "conflict", messageIds: new Set(["b"]) },
    { kind: "conflict", messageIds: new Set(["a", "b"]) },
  ]);
});
