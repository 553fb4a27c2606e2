import { choosePaint, displayWidth, formatJson } from "@letta-environments/command-line";
import { expect, test } from "vitest";
import { testMint } from "../../test/support/test-proxy.ts";
import { createKey, type KeyRequest } from "../keys/key-lifecycle.ts";
import { createLink } from "../keys/sign-in.ts";
import { showKey } from "../keys/key-view.ts";
import { formatKeyDetails, formatKeyTable } from "./key-text.ts";

const now = Date.UTC(2027, 0, 15);
const plain = choosePaint(false, () => undefined);
const request: KeyRequest = {
  name: "laptop",
  tenant: "default",
  scopes: ["list", "send"],
  deviceIds: ["d1"],
  shared: false,
};
const { record } = createKey({ ...request, expiresAt: now + 86_400_000 }, now, testMint);
const key = showKey(record, now, now);
const restricted = showKey(
  {
    ...record,
    deviceIds: ["d1", "d2"],
    connectionNames: ["lab-*"],
    agentIds: ["agent-1"],
    maxMode: "acceptEdits",
    rateLimits: { "gateway-sends": "10/1m", "gateway-requests": "none" },
    shared: true,
    expiresAt: null,
  },
  now,
  null,
);
const restrictions = [
  ...["devices d1, d2", "device names lab-*", "agents agent-1", "mode at most acceptEdits"],
  ...["gateway-sends 10/1m", "gateway-requests unlimited", "shared devices"],
];

test("the table has one line for each key", () => {
  const [header, line] = formatKeyTable([key], null, plain).split("\n");
  expect(header).toMatch(/^ID +NAME +TENANT +SCOPES +RESTRICTIONS +CREATED +EXPIRES +LAST USED +STATE$/);
  expect(line?.split(/ {2,}/)).toEqual([
    record.id,
    "laptop",
    "default",
    "list, send",
    "devices d1",
    "2027-01-15",
    "2027-01-16",
    "2027-01-15",
    "active",
  ]);
});

test("an unused sign-in link and an invitation are not shown as if they never expired", () => {
  const { record: link } = createLink({ ...request, name: "console" }, now, testMint);
  const later = showKey(link, now + 86_400_000, null);
  expect(later.state).toBe("expired");
  expect(formatKeyTable([later], null, plain)).toMatch(/ {2}2027-01-15 {2}with its link {2}never {2,}expired\n$/);
  expect(formatKeyDetails(later, null, plain)).toMatch(/^Expires +with its sign-in link or session$/m);
  const invite = { expiresAt: now + 86_400_000, tags: [], usedAt: null, connectionNames: null };
  const invitation = showKey({ ...record, expiresAt: null, invite }, now, null);
  expect(formatKeyTable([invitation], null, plain)).toContain("  2027-01-15  2027-01-16  never ");
});

test("the table shows every restriction of a key", () => {
  expect(formatKeyTable([restricted], null, plain)).toContain(`  ${restrictions.join("; ")}  `);
  const free = showKey({ ...record, deviceIds: null }, now, null);
  expect(formatKeyTable([free], null, plain)).toContain("  none  ");
});

test("no line of the table is wider than the terminal, every restriction is readable, and the state is never split", () => {
  for (const width of [60, 80, 120, 200]) {
    const table = formatKeyTable([key, restricted], width, plain);
    for (const line of table.split("\n")) expect(displayWidth(line)).toBeLessThanOrEqual(width);
    const words = table.replaceAll(/\s+/g, " ");
    for (const text of restrictions) expect(words).toContain(text);
    expect(table.match(/active/g)).toHaveLength(2);
  }
});

test("the details describe what a key can do", () => {
  const details = formatKeyDetails(restricted, null, plain);
  for (const line of [
    `Id           ${record.id}`,
    "Devices      only d1, d2, and those with a name like lab-*",
    "Agents       only agent-1",
    "Mode         only devices in mode acceptEdits or a stricter one",
    "Rate limits  gateway-sends 10/1m, gateway-requests unlimited",
    "Sharing      other keys can use the devices that it enrols",
    "Expires      never",
    "Secret       created 2027-01-15T00:00:00.000Z",
  ]) {
    expect(details).toContain(`${line}\n`);
  }
  const free = formatKeyDetails(showKey({ ...record, deviceIds: null }, now, null), null, plain);
  for (const text of [
    "every device of the tenant",
    "every agent",
    "devices in any mode",
    "those of the configuration",
  ]) {
    expect(free).toContain(text);
  }
});

test("the details show both secrets while a rotation overlaps, and when the older one ends", () => {
  const [secret] = record.secrets;
  const secrets = secret === undefined ? [] : [secret, { ...secret, expiresAt: now + 3_600_000 }];
  const details = formatKeyDetails(showKey({ ...record, secrets }, now, null), null, plain);
  expect(details).toContain("Old secret   valid until 2027-01-15T01:00:00.000Z\n");
});

test("the JSON output has every member except the digests", () => {
  const [shown] = JSON.parse(formatJson([showKey(record, now, null)])) as unknown[];
  const { secrets: _secrets, ...members } = record;
  expect(shown).toEqual({
    ...members,
    state: "active",
    lastUsedAt: null,
    secrets: [{ createdAt: now, expiresAt: null }],
  });
});

test("characters that control a terminal are shown as in a JSON string, in the table, the details and the JSON", () => {
  const name = "a\u202eb\u2028c\u009bd\u001be\u{e0001}";
  const shown = "a\\u202eb\\u2028c\\u009bd\\u001be\\udb40\\udc01";
  const named = showKey({ ...record, name }, now, null);
  expect(formatKeyTable([named], null, plain)).toContain(`  ${shown}  `);
  expect(formatKeyDetails(named, null, plain)).toContain(`  ${shown}\n`);
  const json = formatJson([named]);
  expect(json).toContain(`"name": "${shown}"`);
  expect(JSON.parse(json)).toMatchObject([{ name }]);
});
