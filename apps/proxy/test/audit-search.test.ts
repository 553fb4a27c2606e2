/** The search of the audit log over HTTP: what each administering key may read there. */
import { systemClock } from "@letta-environments/platform/node";
import { expect, test, vi } from "vitest";
import { createAuditSearch } from "../src/admin/audit-search.ts";
import type { FoundPage } from "../src/audit/search.ts";
import type { KeyRequest } from "../src/keys/key-lifecycle.ts";
import type { TenantSettings } from "../src/tenants/settings.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { bodyOf, createTestProxy, problemOf } from "./support/test-proxy.ts";

const content = [{ role: "user", content: "the text of a message" }];
const record = { time: 1, type: "send_started", sendId: "s1", keyId: "k1", deviceId: "d1", tenant: "default", content };

/** Searches `count` records as a key of scope `admin` with these members. */
async function search(
  members: Partial<KeyRequest>,
  tenants: ReadonlyMap<string, TenantSettings> = new Map(),
  { count = 1, clock = systemClock } = {},
) {
  const tail = {
    writers: () => [{ writer: "w", sequence: count, firstTime: 1, lastTime: 1 }],
    page: (_writer: string, sequence: number) => (sequence > 0 ? [{ sequence, text: JSON.stringify(record) }] : []),
  };
  const { issueKey, proxy } = createTestProxy(undefined, {
    config: { tenants },
    createAdminEndpoints: () => [createAuditSearch(tail, clock)],
  });
  const { key } = await issueKey({ scopes: ["admin"], ...members });
  return proxy.handle(fakeRequest({ path: "/admin/v1/audit", key }));
}

test("an administering key reads the text of messages only with the scope 'view'", async () => {
  const membersFor = async (members: Partial<KeyRequest>) =>
    (bodyOf(await search(members)) as FoundPage).records.map((found) => found.members["content"]);
  expect(await membersFor({})).toEqual([undefined]);
  expect(await membersFor({ scopes: ["admin", "view"] })).toEqual([content]);
});

test.each<[string, Partial<KeyRequest>]>([
  ["device ids", { deviceIds: ["mine"] }],
  ["names of devices", { connectionNames: ["mine-*"] }],
  ["tags of devices", { deviceTags: ["mine"] }],
  ["agents", { agentIds: ["agent-1"] }],
])(
  "an administering key that is limited to %s does not read the records of its whole tenant",
  async (_what, members) => {
    const response = await search(members);
    expect([response.status, problemOf(response).errorCode]).toEqual([403, "insufficient_scope"]);
    expect(problemOf(response).detail).toContain("limited to devices or agents");
  },
);

test("an administering key of a tenant that is limited to devices does not read the records of other devices", async () => {
  const limited = { credential: null, deviceIds: ["mine"], connectionNames: null, publicName: null };
  expect((await search({}, new Map([["default", limited]]))).status).toBe(403);
});

test("other work runs during a search of many records", async () => {
  const setTimer = vi.fn<typeof systemClock.setTimer>(systemClock.setTimer);
  const response = await search({}, undefined, { count: 1_200, clock: { ...systemClock, setTimer } });
  expect([response.status, setTimer.mock.calls.map(([delayMs]) => delayMs)]).toEqual([200, [0, 0]]);
});
