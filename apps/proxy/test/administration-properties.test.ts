/** Random sequences of administering requests: no key gets more rights than its creator, and no response reveals what its key may not know. */
import { type Scope, scopes } from "@letta-environments/schema";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { KeyRecord } from "../src/keys/key-record.ts";
import {
  agentIds as modelAgents,
  anyKey,
  deviceIds as modelDevices,
  mayKnow,
  maySend,
  suffixes,
} from "./support/access-model.ts";
import { administer, type AdminCall } from "./support/administer.ts";
import { createTestProxy, type TestProxy } from "./support/test-proxy.ts";

const tenants = ["t1", "t2"] as const;
const runs = 150;

/** Every device there could be in the model, in every mode. */
const devices = tenants.flatMap((tenant) =>
  modelDevices.flatMap((deviceId) =>
    ["", ...suffixes].flatMap((suffix) =>
      [null, "standard", "acceptEdits", "unrestricted"].flatMap((currentMode) =>
        [[], ["ci"], ["gpu"]].map((tags) => ({
          tenant,
          deviceId,
          connectionName: `box-${suffix}`,
          currentMode,
          tags,
        })),
      ),
    ),
  ),
);

/** The permissions of a key for every operation: the simplest reading of a record, written independently of the product's rules. */
function actsOf(record: KeyRecord): ReadonlySet<string> {
  const sender = { ...record, scopes: ["send"] as const satisfies readonly Scope[] };
  const acts = devices.flatMap((device, index) => [
    ...(mayKnow(record, device) ? [`know ${index}`] : []),
    ...[null, "other-agent", ...modelAgents].flatMap((agentId) =>
      maySend(sender, device, agentId) ? [`send ${index} as ${agentId}`] : [],
    ),
  ]);
  return new Set(acts);
}

function exceeds(record: KeyRecord, maker: KeyRecord, makerEndsAt: number | null): boolean {
  const allowed = actsOf(maker);
  const outlives = makerEndsAt !== null && (record.expiresAt === null || record.expiresAt > makerEndsAt);
  return record.tenant !== maker.tenant || outlives || [...actsOf(record)].some((act) => !allowed.has(act));
}

const expiry = fc.option(fc.constantFrom(1_000, 2_000, 3_000), { freq: 3 });
/** Any valid request for a key; half of them restrict the key to nothing but its tenant. */
const members = fc.tuple(anyKey(tenants, scopes), expiry, fc.boolean()).map(([key, lifetimeMs, isFree]) => ({
  ...key,
  lifetimeMs: isFree ? null : lifetimeMs,
  deviceIds: isFree ? null : orNull(key.deviceIds),
  connectionNames: isFree ? null : orNull(key.connectionNames),
  deviceTags: isFree ? null : key.deviceTags,
  agentIds: isFree ? null : orNull(key.agentIds),
  maxMode: isFree ? null : key.maxMode,
}));

function orNull(values: readonly string[] | null): readonly string[] | null {
  return values === null || values.length === 0 ? null : values;
}

const patchable = ["scopes", "deviceIds", "connectionNames", "deviceTags", "agentIds", "maxMode", "expiresAt"] as const;
const step = fc.record({
  caller: fc.nat(30),
  target: fc.nat(30),
  verb: fc.constantFrom("create", "patch", "patch", "rotate", "revoke", "disable", "enable", "list", "read", "wait"),
  members,
  names: fc.subarray([...patchable], { minLength: 1 }),
  foreignTenant: fc.boolean(),
  overlapMs: fc.constantFrom(0, 500),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** A request whose rights differ from those of its caller in a few members, so that many are granted. */
function callOf(taken: Step, maker: KeyRecord, targetId: string, nowMs: number): AdminCall {
  const { lifetimeMs, tenant, ...grants } = taken.members;
  const wanted = { ...grants, expiresAt: lifetimeMs === null ? null : nowMs + lifetimeMs };
  const chosen = Object.fromEntries(taken.names.map((name) => [name, wanted[name]]));
  const path = `/${targetId}`;
  switch (taken.verb) {
    case "create": {
      const { deviceIds, connectionNames, deviceTags, agentIds, maxMode, expiresAt } = maker;
      const own = { deviceIds, connectionNames, deviceTags, agentIds, maxMode, expiresAt };
      return { body: { name: "made", ...own, ...chosen, ...(taken.foreignTenant && { tenant }) } };
    }
    case "patch":
      return { method: "PATCH", path, body: chosen };
    case "rotate":
      return { path: `${path}/rotate`, body: { overlapMs: taken.overlapMs } };
    case "revoke":
      return { path: `${path}/revoke`, method: "POST" };
    case "disable":
    case "enable":
      return { method: "PATCH", path, body: { disabled: taken.verb === "disable" } };
    case "read":
      return { path };
    default:
      return {};
  }
}

interface Known {
  readonly key: string;
  readonly id: string;
}

/** Performs one step and compares its result with the model. */
async function perform(testProxy: TestProxy, held: Known[], taken: Step): Promise<number> {
  const { keyStore, clock } = testProxy;
  if (taken.verb === "wait") await clock.advance(700);
  const before = new Map((await keyStore.list()).map((record) => [record.id, record]));
  const caller = held[taken.caller % held.length];
  const targetId = [...before.keys()][taken.target % before.size] ?? "";
  const maker = before.get(caller?.id ?? "");
  if (caller === undefined || maker === undefined) throw new Error("there is always a key");
  const answer = await administer(testProxy, caller.key, callOf(taken, maker, targetId, clock.now()));
  const after = await keyStore.list();

  const changed = after.filter((record) => JSON.stringify(record) !== JSON.stringify(before.get(record.id)));
  for (const record of changed) {
    const old = before.get(record.id);
    const onlyEnded = old !== undefined && sameButForEnd(old, record);
    expect([maker.scopes.includes("admin"), record.tenant]).toEqual([true, maker.tenant]);
    expect(onlyEnded || !exceeds(record, maker, maker.expiresAt)).toBe(true);
    if (record.id === maker.id) expect(record.scopes.filter((scope) => !maker.scopes.includes(scope))).toEqual([]);
  }
  if (answer.status >= 400) expect(changed).toEqual([]);

  const shownKey = /lek_([0-9A-Za-z]{12})_[0-9A-Za-z]{49}/.exec(answer.text);
  if (shownKey !== null) {
    const [key, id = ""] = shownKey;
    const record = after.find((candidate) => candidate.id === id);
    expect(record === undefined || exceeds(record, maker, maker.expiresAt)).toBe(false);
    held.push({ key, id });
  }
  for (const record of after) {
    for (const { digest, pepperId } of record.secrets) {
      expect(answer.text).not.toContain(digest);
      expect(answer.text).not.toContain(pepperId);
    }
    if (record.tenant !== maker.tenant) expect(answer.text).not.toContain(record.id);
  }
  return changed.length;
}

function sameButForEnd(old: KeyRecord, record: KeyRecord): boolean {
  const isTakenOut = old.disabledAt === null || record.disabledAt !== null;
  const strip = ({ disabledAt: _disabledAt, revokedAt: _revokedAt, ...rest }: KeyRecord): string =>
    JSON.stringify(rest);
  return isTakenOut && strip(old) === strip(record);
}

test("no sequence of calls gives a key more rights than its creator has, or reveals another tenant or a digest", async () => {
  let changes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(members, { minLength: 2, maxLength: 4 }),
      fc.array(step, { minLength: 10, maxLength: 25 }),
      async (roots, steps) => {
        const testProxy = createTestProxy();
        const held: Known[] = [];
        for (const [index, { lifetimeMs, ...grants }] of roots.entries()) {
          const expiresAt = lifetimeMs === null ? null : testProxy.clock.now() + lifetimeMs;
          const tenant = tenants[index % 2] ?? "t1";
          const { key, record } = await testProxy.issueKey({ ...grants, scopes: ["admin"], tenant, expiresAt });
          held.push({ key, id: record.id });
        }
        for (const taken of steps) changes += await perform(testProxy, held, taken);
      },
    ),
    { numRuns: runs },
  );
  // The calls do change keys: a property of nothing but refusals would say nothing.
  expect(changes).toBeGreaterThan(runs);
});
