/** Streams of events of a key whose restrictions are in shadow mode. */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createMemoryKeyStore } from "../src/adapters/memory/key-store.ts";
import { createShadow, liftRestrictions, shadowRules } from "../src/auth/shadow.ts";
import { createExtensions } from "../src/extensions.ts";
import type { ProxyEvent } from "../src/telemetry.ts";
import { disableKey } from "./support/end-keys.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestProxy, issueTestKey } from "./support/test-proxy.ts";
import { embedServer } from "../src/upstream/embedded.ts";

test("a stream of a key in shadow mode stays open until the key ends or shadow mode is turned off", async () => {
  const clock = createVirtualClock();
  const keyStore = createMemoryKeyStore();
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const ports = { store, clock, sha256: sha256Hex, randomId, podId: "pod", publicUrl: null, settleMs: 0 };
  const server = createEnvironmentServer(ports);
  const events: ProxyEvent[] = [];
  const streams = { clock, server, telemetry: (event: ProxyEvent) => void events.push(event) };
  const restrictions = { scopes: ["list", "read"] as const, deviceIds: ["device-1"], agentIds: ["agent-1"] };
  const { key, record } = await issueTestKey(keyStore, clock, { ...restrictions, maxMode: "standard" });
  const { key: other, record: otherRecord } = await issueTestKey(keyStore, clock, restrictions);
  const shadow = { keyIds: new Set([record.id, otherRecord.id]), rules: new Set(shadowRules) };
  const { proxy } = createTestProxy(undefined, {
    ports: {
      ...{ clock, keyStore, upstream: embedServer(server), apiExtensions: createExtensions(streams) },
      wrapStep: createShadow(shadow),
      liftRestrictions: (principal) => liftRestrictions(principal, shadow),
    },
  });
  const open = async (bearer: string) =>
    (await proxy.handle(fakeRequest({ key: bearer, path: "/v1/environments/events" }))).status;
  const ended = () => events.flatMap((event) => (event.type === "stream_ended" ? [[event.keyId, event.reason]] : []));

  expect([await open(key), await open(other)]).toEqual([200, 200]);
  await clock.advance(2_000);
  expect(ended()).toEqual([]);
  await disableKey(keyStore, otherRecord.id, clock.now());
  await clock.advance(2_000);
  expect(ended()).toEqual([[otherRecord.id, "credential_ended"]]);
  shadow.keyIds.clear();
  await clock.advance(2_000);
  expect(ended()).toEqual([
    [otherRecord.id, "credential_ended"],
    [record.id, "credential_ended"],
  ]);
});
