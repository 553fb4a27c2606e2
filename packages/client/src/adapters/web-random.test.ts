import { afterEach, expect, test, vi } from "vitest";
import { randomUuid } from "./web-random.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

test("a page without crypto.randomUUID still gets random version 4 UUIDs", () => {
  const { crypto } = globalThis;
  vi.stubGlobal("crypto", { getRandomValues: (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes) });
  const ids = Array.from({ length: 50 }, () => randomUuid());
  expect(new Set(ids).size).toBe(50);
  expect(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))).toBe(
    true,
  );
});
