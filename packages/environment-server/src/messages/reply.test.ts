import { expect, test } from "vitest";
import { maxRepliesLength, maxReplyLength } from "../limits.ts";
import { createReplyBudget, createReplyCollector } from "./reply.ts";

test("a text is cut after 65,536 characters, never in the middle of a character, and says so", () => {
  const budget = createReplyBudget();
  const reply = createReplyCollector(budget, "acme");
  reply.add("a", "x".repeat(maxReplyLength - 1));
  reply.add("a", "🚀");
  expect(reply.current()).toEqual({ text: "x".repeat(maxReplyLength - 1), isTruncated: true });
  reply.add("b", "y");
  expect(reply.current()).toEqual({ text: "y", isTruncated: false });
  reply.clear();
  expect([reply.current(), budget.totalBytes]).toEqual([null, 0]);
});

test("the texts of all turns together are bounded", () => {
  const budget = createReplyBudget();
  const text = "x".repeat(maxReplyLength);
  const replies = Array.from({ length: 2 * (maxRepliesLength / maxReplyLength) }, () => {
    const reply = createReplyCollector(budget, "acme");
    reply.add(null, text);
    return reply;
  });
  expect(budget.totalBytes).toBe(maxRepliesLength);
  const dropped = replies.find((reply) => reply.current()?.text === "");
  dropped?.add(null, "more of it");
  expect(dropped?.current()).toEqual({ text: "", isTruncated: true });
  dropped?.add("next", "another text");
  expect(dropped?.current()).toEqual({ text: "another text", isTruncated: false });
  for (const reply of replies) reply.clear();
  expect(budget.totalBytes).toBe(0);
});

test("a tenant with many long texts causes no loss of the text of another tenant", () => {
  const budget = createReplyBudget();
  const text = "x".repeat(maxReplyLength);
  const start = (tenant: string) => {
    const reply = createReplyCollector(budget, tenant);
    reply.add(null, text);
    return reply;
  };
  for (let count = 0; count < maxRepliesLength / maxReplyLength; count++) start("hostile");
  const reply = start("acme");
  start("hostile");
  expect(reply.current()).toEqual({ text, isTruncated: false });
});
