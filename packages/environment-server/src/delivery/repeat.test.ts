import { expect, test } from "vitest";
import type { KnownMessage } from "../ports.ts";
import { classifyRepeat } from "./repeat.ts";

const known = (messageId: string, change: Partial<KnownMessage> = {}): KnownMessage => ({
  messageId,
  deliveryId: "msg-1",
  fingerprint: "f",
  outcome: null,
  ...change,
});

test("a request without known ids is new", () => {
  expect(classifyRepeat(["a", "b"], "f", [])).toEqual({ kind: "new" });
});

test("a request is a repeat when all its ids belong to one send with the same content", () => {
  const outcome = { kind: "unknown" } as const;
  const repeat = classifyRepeat(["a", "b"], "f", [known("b", { outcome }), known("a", { outcome })]);
  expect(repeat).toEqual({ kind: "repeat", deliveryId: "msg-1", outcome });
});

test("a request with some known ids, or known ids with other content, is a conflict that names them", () => {
  const conflicts = [
    classifyRepeat(["a", "b"], "f", [known("b")]),
    classifyRepeat(["b"], "other", [known("b")]),
    classifyRepeat(["a", "b"], "f", [known("b"), known("a", { deliveryId: "msg-2" })]),
  ];
  expect(conflicts).toEqual([
    { kind: "conflict", messageIds: new Set(["b"]) },
    { kind: "conflict", messageIds: new Set(["b"]) },
    { kind: "conflict", messageIds: new Set(["a", "b"]) },
  ]);
});
