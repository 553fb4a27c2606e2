import { jsonResponse, type PlainResponse, type Principal } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { disableKey, revokeKey } from "../test/support/end-keys.ts";
import { fakeRequest } from "../test/support/fake-request.ts";
import { bodyOf, createTestProxy, issueTestKey, problemOf } from "../test/support/test-proxy.ts";
import { createMemoryKeyStore } from "./adapters/memory/key-store.ts";
import { patchKey, type KeyRequest } from "./keys/key-lifecycle.ts";
import { KeyStoreUnavailableError } from "./keys/key-store-outages.ts";
import type { EmbeddedServer } from "./ports.ts";
import type { CurrentCheck } from "./reauthentication.ts";
import { embedServer } from "./upstream/embedded.ts";

const waiter: Partial<KeyRequest> = { scopes: ["read", "send", "view"], expiresAt: null };
const path = "/v1/environments/conn-1/messages";

interface Wait {
  readonly waitSeconds?: number | null;
}

/** A gateway whose server ends a turn after four seconds. A response has the text of the turn for principals who may see it. */
async function setUp(request: Partial<KeyRequest> = {}) {
  const clock = createVirtualClock();
  const keyStore = createMemoryKeyStore();
  let isDown = false;
  const calls: { readonly operation: string; readonly waitSeconds: unknown }[] = [];
  const operate = async (
    operation: string,
    input: { readonly query: unknown },
    { scopes }: Principal,
    context: Wait,
  ) => {
    const { waitSeconds } = (operation === "sendMessage" ? context : input.query) as Wait;
    calls.push({ operation, waitSeconds });
    if (waitSeconds !== 0) await new Promise<void>((resolve) => clock.setTimer(4_000, resolve));
    const status = { state: "finished", ...(scopes.has("view") && { text: "the secret" }) };
    if (operation !== "sendMessage") return jsonResponse(200, status);
    const applied = { "preference-applied": "wait=30" };
    return jsonResponse(200, { success: true, message: "ok", outcome: status }, applied);
  };
  const server: EmbeddedServer = { operate, findConnection: () => Promise.resolve(null) };
  const failing = (): Promise<never> => Promise.reject(new KeyStoreUnavailableError());
  const currentCheck: CurrentCheck = {};
  const testProxy = createTestProxy(undefined, {
    ports: {
      clock,
      currentCheck,
      upstream: embedServer(server),
      // While it is down, no key that was verified is trusted.
      keyStore: {
        ...keyStore,
        find: (id) => (isDown ? failing() : keyStore.find(id)),
        generation: () => (isDown ? -1 : keyStore.generation()),
      },
    },
  });
  const { key, record } = await issueTestKey(keyStore, clock, { ...waiter, ...request });
  const ask = (query: string): Promise<PlainResponse> =>
    testProxy.proxy.handle(fakeRequest({ key, path: `${path}/m-1`, query }));
  return {
    clock,
    keyStore,
    record,
    events: testProxy.events,
    calls,
    read: () => ask("wait=finished&waitSeconds=30"),
    send: () =>
      testProxy.proxy.handle(
        fakeRequest({
          ...{ method: "POST", path, key, headers: { "content-type": "application/json", prefer: "wait=30" } },
          body: JSON.stringify({ messages: [{ role: "user", content: "x", client_message_id: "m-1" }] }),
        }),
      ),
    endStore: () => void (isDown = true),
    /** Composes another pipeline, as a reload does. It accepts no credential of this one. */
    reload: () => void createTestProxy(undefined, { ports: { clock, currentCheck } }),
  };
}

describe("reads after a wait", () => {
  test("a read that waited contains the text of the turn if its key is still valid", async () => {
    const { clock, read, calls } = await setUp();
    const waiting = read();
    await clock.advance(4_000);
    expect(bodyOf(await waiting)).toEqual({ state: "finished", text: "the secret" });
    expect(calls).toHaveLength(1);
  });

  test.each([
    ["is revoked", { revoke: revokeKey, reason: "key_revoked" }],
    ["is disabled", { revoke: disableKey, reason: "key_disabled" }],
  ])("a read is 401 when its key %s during the wait", async (_how, { revoke, reason }) => {
    const { clock, keyStore, record, read, events } = await setUp();
    const waiting = read();
    await clock.advance(1_000);
    await revoke(keyStore, record.id, clock.now());
    await clock.advance(3_000);
    const response = await waiting;
    expect([response.status, problemOf(response).errorCode]).toEqual([401, "invalid_key"]);
    expect(response.body).not.toContain("secret");
    expect(events.at(-1)).toMatchObject({ status: 401, reason });
  });

  test("a read is 401 when a reload during the wait removed its authentication method", async () => {
    const { clock, read, reload } = await setUp();
    const waiting = read();
    await clock.advance(1_000);
    reload();
    await clock.advance(3_000);
    expect((await waiting).status).toBe(401);
  });

  test("a read is 401 when its key expires during the wait, even while the key store fails", async () => {
    for (const isDown of [false, true]) {
      const { clock, read, endStore } = await setUp({ expiresAt: createVirtualClock().now() + 3_000 });
      const waiting = read();
      await clock.advance(1_000);
      if (isDown) endStore();
      await clock.advance(3_000);
      expect((await waiting).status).toBe(401);
    }
  });

  test("a read that waited gets its response even while the key store fails", async () => {
    const { clock, read, endStore } = await setUp();
    const waiting = read();
    await clock.advance(1_000);
    endStore();
    await clock.advance(3_000);
    expect(bodyOf(await waiting)).toMatchObject({ text: "the secret" });
  });

  test("a read that waited shows what its key may see after the wait, without another wait", async () => {
    const { clock, keyStore, record, read, calls } = await setUp();
    const waiting = read();
    await clock.advance(1_000);
    await keyStore.update(record.id, (found) => patchKey(found, { scopes: ["read"] }, clock.now()));
    await clock.advance(3_000);
    expect(bodyOf(await waiting)).toEqual({ state: "finished" });
    expect(calls.map(({ waitSeconds }) => waitSeconds)).toEqual([30, 0]);
  });

  test("a read is 403 after the wait if its key lost the scope read", async () => {
    const { clock, keyStore, record, read } = await setUp();
    const waiting = read();
    await clock.advance(1_000);
    await keyStore.update(record.id, (found) => patchKey(found, { scopes: ["list"] }, clock.now()));
    await clock.advance(3_000);
    expect(problemOf(await waiting).errorCode).toBe("insufficient_scope");
  });
});

describe("sends after a wait", () => {
  test("a send that waited contains the outcome of its turn if its key is still valid", async () => {
    const { clock, send } = await setUp();
    const waiting = send();
    await clock.advance(4_000);
    const response = await waiting;
    expect(bodyOf(response)).toMatchObject({ success: true, outcome: { text: "the secret" } });
    expect(response.headers["preference-applied"]).toBe("wait=30");
  });

  test("a send whose key was revoked, expired or restricted during the wait was delivered, but its response has no outcome", async () => {
    const revoked = await setUp();
    const expired = await setUp({ expiresAt: createVirtualClock().now() + 3_000 });
    const restricted = await setUp();
    const waiting = [revoked, expired, restricted].map(({ send }) => send());
    for (const { clock } of [revoked, expired, restricted]) await clock.advance(1_000);
    await revokeKey(revoked.keyStore, revoked.record.id, revoked.clock.now());
    await restricted.keyStore.update(restricted.record.id, (found) =>
      patchKey(found, { scopes: ["send"] }, restricted.clock.now()),
    );
    for (const { clock } of [revoked, expired, restricted]) await clock.advance(3_000);
    for (const response of await Promise.all(waiting)) {
      expect([response.status, bodyOf(response)]).toEqual([200, { success: true, message: "ok" }]);
      expect(response.headers).not.toHaveProperty("preference-applied");
    }
    expect(revoked.calls).toHaveLength(1);
  });
});
