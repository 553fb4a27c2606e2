import { expect, test } from "vitest";
import { randomId } from "./chance.ts";

test("ids are long, of few characters, and each another, without what only a secure context has", () => {
  const ids = Array.from({ length: 1_000 }, () => randomId());
  expect(new Set(ids).size).toBe(1_000);
  expect(ids.every((id) => /^\d{1,10}(-\d{1,10}){3}$/.test(id))).toBe(true);
  expect(randomId.toString()).not.toContain("randomUUID");
});
