import { expect, test } from "vitest";
import { testMint } from "../../test/support/test-proxy.ts";
import { createKey } from "../keys/key-lifecycle.ts";
import { formatKeyJson, formatKeyTable } from "./format-keys.ts";

const now = Date.UTC(2027, 0, 15);
const request = {
  name: "laptop",
  tenant: "default",
  scopes: ["list", "send"] as const,
  deviceIds: ["d1"],
  shared: false,
};
const { record } = createKey({ ...request, expiresAt: now + 86_400_000 }, now, testMint);

test("the table has a line a key, and says so when there is none", () => {
  const [header, line] = formatKeyTable([record], now, new Map([[record.id, now]])).split("\n");
  expect(header).toMatch(/^ID +NAME +TENANT +SCOPES +DEVICES +CREATED +EXPIRES +LAST USED +STATE$/);
  expect(line?.split(/ {2,}/)).toEqual([
    record.id,
    "laptop",
    "default",
    "list,send",
    "d1",
    "2027-01-15",
    "2027-01-16",
    "2027-01-15",
    "active",
  ]);
  expect(formatKeyTable([], now)).toBe("There are no keys.\n");
});

test("the JSON has every member but the digests", () => {
  const [shown] = JSON.parse(formatKeyJson([record], now)) as unknown[];
  const { secrets: _secrets, ...members } = record;
  expect(shown).toEqual({
    ...members,
    state: "active",
    lastUsedAt: null,
    secrets: [{ createdAt: now, expiresAt: null }],
  });
});

test("characters that steer a terminal are shown as in a JSON string, in the table and in the JSON", () => {
  const name = "a\u202eb\u2028c\u009bd\u001be\u{e0001}";
  const shown = "a\\u202eb\\u2028c\\u009bd\\u001be\\udb40\\udc01";
  const records = [{ ...record, name }];
  expect(formatKeyTable(records, now)).toContain(`  ${shown}  `);
  const json = formatKeyJson(records, now);
  expect(json).toContain(`"name": "${shown}"`);
  expect(JSON.parse(json)).toMatchObject([{ name }]);
});
