import { expect, test } from "vitest";
import { createTestKeyRecord } from "../../test/support/create-test-key-record.ts";
import { selectKeys } from "./key-record.ts";

test("a list that continues after a key which is no longer readable is empty, and does not begin again", () => {
  const keys = [1, 2, 3].map((createdAt) => createTestKeyRecord({}, createdAt));
  const matches = (): boolean => true;
  expect(selectKeys(keys, { after: undefined, limit: 2, matches })).toEqual(keys.slice(0, 2));
  expect(selectKeys(keys, { after: keys[0]?.id, limit: 2, matches })).toEqual(keys.slice(1));
  expect(selectKeys(keys, { after: "unknown", limit: 2, matches })).toEqual([]);
});
