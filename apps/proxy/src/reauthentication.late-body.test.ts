import type { PlainResponse } from "@letta-environments/schema";
import { describe, expect, test, vi } from "vitest";
import { createDeviceWorld } from "../test/support/device-world.ts";
import { disableKey, revokeKey } from "../test/support/end-keys.ts";
import { fakeRequest } from "../test/support/fake-request.ts";
import { bodyOf, createTestProxy, problemOf } from "../test/support/test-proxy.ts";
import { createTestIssuer, testJwtSettings } from "../test/support/test-issuer.ts";
import type { CurrentCheck } from "./reauthentication.ts";
import { createShadow, liftRestrictions, shadowRules } from "./auth/shadow.ts";
import { type KeyPatch, type KeyRequest, patchKey } from "./keys/key-lifecycle.ts";
import { KeyStoreUnavailableError } from "./keys/key-store-outages.ts";

/** A gateway with one device, and requests whose bodies the test lets arrive. */
async function setUp(options: Parameters<typeof createDeviceWorld>[1] = {}) {
  const world = await createDeviceWorld(undefined, options);
  const { key: adminKey } = await world.issueKey({ scopes: ["admin"] });
  const request = (key: string, method: string, path: string, body: object, awaitBody = () => Promise.resolve()) =>
    world.proxy.handle(
      fakeRequest({ key, method, path: `/v1/environments/${path}`, body: JSON.stringify(body), awaitBody }),
    );
  const { connectionId } = world;
  const messages = [{ role: "user", content: "x", client_message_id: "m-1" }];
  const requests = {
    send: ["POST", `${connectionId}/messages`, { agentId: "agent-1", messages }],
    stop: ["POST", `${connectionId}/stop`, { agentId: "agent-1" }],
    "change of the mode": ["POST", `${connectionId}/mode`, { agentId: "agent-1", mode: "standard" }],
    "change of a device": ["PATCH", "device-1", { displayName: "new" }],
    registration: ["POST", "register", { deviceId: "device-2", connectionName: "new" }],
  } as const;
  return {
    ...world,
    logged: () => world.events.flatMap((event) => (event.type === "request" ? [event] : [])).at(-1),
    label: (tags: readonly string[]) => request(adminKey, "PATCH", "device-1", { tags }),
    patch: (id: string, patch: KeyPatch) =>
      world.keyStore.update(id, (found) => patchKey(found, patch, world.clock.now())),
    /** Begins a request. Its body arrives when the result is called, a minute later. */
    async begin(key: string, name: keyof typeof requests): Promise<(heldMs?: number) => Promise<PlainResponse>> {
      let arrive = (): void => undefined;
      let reach = (): void => undefined;
      const arriving = new Promise<void>((resolve) => (arrive = resolve));
      // The signature of a token is verified in real time.
      const reached = new Promise<void>((resolve) => (reach = resolve));
      const [method, path, body] = requests[name];
      let isOver = false;
      const responding = request(key, method, path, body, () => {
        reach();
        return arriving;
      }).finally(() => (isOver = true));
      await reached;
      return async (heldMs = 60_000) => {
        await world.clock.advance(heldMs);
        arrive();
        await world.clock.advance(10);
        const isSent = (): boolean => world.frames.some(({ type }) => type === "input");
        await expect.poll(() => isOver || isSent()).toBe(true);
        if (isSent()) world.acknowledge();
        return responding;
      };
    },
  };
}

const scopes: KeyRequest["scopes"] = ["send", "control", "connect", "admin"];
const codeOf = (response: PlainResponse) => [response.status, problemOf(response).errorCode];

describe("requests with a late body", () => {
  const operations = ["send", "stop", "change of the mode", "change of a device", "registration"] as const;

  test.each(operations)(
    "a request with a late body is 401 if its key has ended by then, and has no effect: %s",
    async (name) => {
      for (const end of [revokeKey, disableKey]) {
        const { begin, clock, issueKey, keyStore, frames, entries, logged } = await setUp();
        const { key, record } = await issueKey({ scopes });
        const finish = await begin(key, name);
        await end(keyStore, record.id, clock.now());
        expect(codeOf(await finish())).toEqual([401, "invalid_key"]);
        expect(logged()?.reason).toBe(end === revokeKey ? "key_revoked" : "key_disabled");
        expect(frames).toEqual([]);
        expect(entries.filter(({ type }) => type.endsWith("_started"))).toEqual([]);
      }
    },
  );

  test.each(["send", "stop"] as const)(
    "a request with a late body does not reach a device that has lost the tag of its key by then: %s",
    async (name) => {
      const { begin, issueKey, label, frames } = await setUp();
      await label(["ci"]);
      const { key } = await issueKey({ scopes, deviceTags: ["ci"] });
      const finish = await begin(key, name);
      await label([]);
      expect(codeOf(await finish())).toEqual([404, "connection_not_found"]);
      expect(frames).toEqual([]);
    },
  );

  test("a request with a late body reaches a device that has gained the tag of its key by then", async () => {
    const { begin, issueKey, label } = await setUp();
    const { key } = await issueKey({ scopes, deviceTags: ["ci"] });
    const finish = await begin(key, "send");
    await label(["ci"]);
    expect((await finish()).status).toBe(200);
  });

  test.each<[string, KeyPatch, string]>([
    ["scopes", { scopes: ["read"] }, "insufficient_scope"],
    ["agents", { agentIds: ["agent-2"] }, "agent_not_allowed"],
    ["devices", { deviceIds: ["device-2"] }, "connection_not_found"],
  ])(
    "a request with a late body is limited to the %s that its key has when the body arrives",
    async (_what, restricted, code) => {
      const { begin, issueKey, patch, frames } = await setUp();
      const { key, record } = await issueKey({ scopes });
      const finish = await begin(key, "send");
      await patch(record.id, restricted);
      expect(problemOf(await finish()).errorCode).toBe(code);
      expect(frames).toEqual([]);
    },
  );

  /** Restricts the tenant to another device, as a reload does: a pipeline of other settings is composed over the same stores. */
  const reload = (
    { clock, keyStore }: Pick<Awaited<ReturnType<typeof setUp>>, "clock" | "keyStore">,
    currentCheck: CurrentCheck,
    config: Parameters<typeof createTestProxy>[1] & object = {},
  ) => createTestProxy(undefined, { ...config, ports: { clock, keyStore, currentCheck, ...config.ports } });

  test("a request with a late body is limited to the devices that its tenant may use after a reload", async () => {
    const currentCheck: CurrentCheck = {};
    const world = await setUp({ ports: { currentCheck } });
    const { key } = await world.issueKey({ scopes });
    const finish = await world.begin(key, "send");
    const tenants = new Map([
      ["default", { deviceIds: ["device-2"], connectionNames: null, credential: null, publicName: null }],
    ]);
    reload(world, currentCheck, { config: { tenants } });
    expect(codeOf(await finish())).toEqual([404, "connection_not_found"]);
    expect(world.frames).toEqual([]);
  });

  test("a request with a late body is 401 if a reload removed its authentication method, and restricted if a reload ended shadow mode", async () => {
    const issuer = await createTestIssuer();
    const currentCheck: CurrentCheck = {};
    const world = await setUp({
      ports: { fetchJwks: issuer.fetchJwks, currentCheck },
      config: { jwt: { ...testJwtSettings, tenant: "default" } },
    });
    const exp = Math.floor(world.clock.now() / 1_000) + 300;
    const token = await issuer.sign(world.clock.now(), { claims: { scope: "send", exp } });
    const finish = await world.begin(token, "send");
    reload(world, currentCheck);
    expect(codeOf(await finish())).toEqual([401, "invalid_key"]);
    const shadow = { keyIds: new Set<string>(), rules: new Set(shadowRules) };
    const shadowed = await setUp({
      ports: { wrapStep: createShadow(shadow), liftRestrictions: (own) => liftRestrictions(own, shadow), currentCheck },
    });
    const { key, record } = await shadowed.issueKey({ scopes, agentIds: ["agent-2"] });
    shadow.keyIds.add(record.id);
    const finishShadowed = await shadowed.begin(key, "send");
    reload(shadowed, currentCheck);
    expect(codeOf(await finishShadowed())).toEqual([403, "agent_not_allowed"]);
    expect([...world.frames, ...shadowed.frames]).toEqual([]);
  });

  test("a request is authorised again if its body takes one second or longer, and not otherwise", async () => {
    for (const [heldMs, status] of [
      [999, 200],
      [1_000, 401],
    ] as const) {
      const { begin, clock, issueKey, keyStore } = await setUp();
      const { key, record } = await issueKey({ scopes });
      const finish = await begin(key, "send");
      await revokeKey(keyStore, record.id, clock.now());
      expect((await finish(heldMs)).status).toBe(status);
    }
  });

  test("a request with a late body is carried out and recorded once if nothing has changed", async () => {
    const { begin, issueKey, entries } = await setUp();
    const { key } = await issueKey({ scopes });
    const finish = await begin(key, "send");
    expect(bodyOf(await finish())).toMatchObject({ success: true });
    const sends = entries.filter(({ type }) => type.startsWith("send_"));
    expect(sends).toMatchObject([{ type: "send_started", deviceId: "device-1" }, { type: "send_finished" }]);
  });

  test.each([
    ["send", "send_"],
    ["stop", "control_"],
  ] as const)(
    "a request with a late body is recorded as refused once, with the key that began it: %s",
    async (name, prefix) => {
      const { begin, clock, issueKey, keyStore, entries } = await setUp();
      const { key, record } = await issueKey({ scopes });
      const finish = await begin(key, name);
      await revokeKey(keyStore, record.id, clock.now());
      await finish();
      const records = entries.filter(({ type }) => type.startsWith(prefix));
      expect(records).toMatchObject([
        { type: `${prefix}refused`, keyId: record.id, deviceId: "device-1", status: 401 },
      ]);
    },
  );

  test("a request with a late body is carried out while the key store fails, and is 401 if its key has expired by then", async () => {
    for (const expires of [false, true]) {
      const { begin, clock, issueKey, keyStore, frames, logged } = await setUp();
      const { key } = await issueKey({ scopes, expiresAt: expires ? clock.now() + 30_000 : null });
      const finish = await begin(key, "send");
      // A key that was verified counts only while the store's generation can be read.
      vi.spyOn(keyStore, "generation").mockReturnValue(-1);
      vi.spyOn(keyStore, "find").mockRejectedValue(new KeyStoreUnavailableError());
      expect((await finish()).status).toBe(expires ? 401 : 200);
      expect([logged()?.reason, frames.length]).toEqual(expires ? ["key_expired", 0] : [undefined, 1]);
    }
  });

  test("a request with a late body is 401 if its token has expired by then, and otherwise reaches its device", async () => {
    const issuer = await createTestIssuer();
    for (const lastsSeconds of [30, 300]) {
      const { begin, clock, frames, logged } = await setUp({
        ports: { fetchJwks: issuer.fetchJwks },
        config: { jwt: { ...testJwtSettings, tenant: "default" } },
      });
      const exp = Math.floor(clock.now() / 1_000) + lastsSeconds;
      const token = await issuer.sign(clock.now(), { claims: { scope: "send", exp } });
      const { status } = await (await begin(token, "send"))();
      const hasExpired = lastsSeconds === 30;
      expect([status, frames.length]).toEqual(hasExpired ? [401, 0] : [200, 1]);
      expect(logged()?.reason).toBe(hasExpired ? "token_expired" : undefined);
    }
  });
});

describe("requests with a late body in shadow mode", () => {
  const narrow = { agentIds: ["agent-2"] };
  const elsewhere = { deviceIds: ["device-2"] };

  test.each<[string, Partial<KeyRequest>, KeyPatch | null, readonly string[] | undefined]>([
    ["unchanged restrictions", narrow, null, ["agent_not_allowed"]],
    [
      "restrictions that stay beside a change of its scopes",
      narrow,
      { scopes: ["send", "read"] },
      ["agent_not_allowed"],
    ],
    ["a new restriction of agents", {}, narrow, ["agent_not_allowed"]],
    ["a new restriction of devices", {}, elsewhere, ["connection_not_found"]],
    ["a removed restriction", narrow, { agentIds: null }, undefined],
  ])(
    "a request with a late body in shadow mode is logged with the refusal that its key would now get: %s",
    async (_what, restrictions, change, codes) => {
      const shadow = { keyIds: new Set<string>(), rules: new Set(shadowRules) };
      const { begin, issueKey, patch, logged } = await setUp({
        ports: {
          wrapStep: createShadow(shadow),
          liftRestrictions: (principal) => liftRestrictions(principal, shadow),
        },
      });
      const { key, record } = await issueKey({ scopes, ...restrictions });
      shadow.keyIds.add(record.id);
      const finish = await begin(key, "send");
      if (change !== null) await patch(record.id, change);
      expect((await finish()).status).toBe(200);
      expect(logged()?.shadowRefusedBy).toEqual(codes);
    },
  );
});
