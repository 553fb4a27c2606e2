import type { PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createDeviceWorld } from "../../test/support/device-world.ts";
import { disableKey, revokeKey } from "../../test/support/end-keys.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { bodyOf, problemOf } from "../../test/support/test-proxy.ts";
import { type KeyPatch, type KeyRequest, patchKey } from "../keys/key-lifecycle.ts";

/** A gateway with one device, and requests whose bodies the test lets arrive. */
async function setUp() {
  const world = await createDeviceWorld();
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
    label: (tags: readonly string[]) => request(adminKey, "PATCH", "device-1", { tags }),
    patch: (id: string, patch: KeyPatch) =>
      world.keyStore.update(id, (found) => patchKey(found, patch, world.clock.now())),
    /** Begins a request. Its body arrives when the result is called, a minute later. */
    async begin(key: string, name: keyof typeof requests): Promise<() => Promise<PlainResponse>> {
      let arrive = (): void => undefined;
      const arriving = new Promise<void>((resolve) => (arrive = resolve));
      const [method, path, body] = requests[name];
      const responding = request(key, method, path, body, () => arriving);
      await world.clock.advance(10);
      return async () => {
        await world.clock.advance(60_000);
        arrive();
        await world.clock.advance(10);
        if (world.frames.some(({ type }) => type === "input")) world.acknowledge();
        return responding;
      };
    },
  };
}

const scopes: KeyRequest["scopes"] = ["send", "control", "connect", "admin"];
const codeOf = (response: PlainResponse) => [response.status, problemOf(response).errorCode];

describe("a request whose body comes late", () => {
  const operations = ["send", "stop", "change of the mode", "change of a device", "registration"] as const;

  test.each(operations)("is 401 when its key has ended meanwhile, and does nothing: %s", async (name) => {
    for (const end of [revokeKey, disableKey]) {
      const { begin, clock, issueKey, keyStore, frames, entries } = await setUp();
      const { key, record } = await issueKey({ scopes });
      const finish = await begin(key, name);
      await end(keyStore, record.id, clock.now());
      expect(codeOf(await finish())).toEqual([401, "invalid_key"]);
      expect(frames).toEqual([]);
      expect(entries.filter(({ type }) => type.endsWith("_started"))).toEqual([]);
    }
  });

  test.each(["send", "stop"] as const)("reaches no device that has lost the tag of its key: %s", async (name) => {
    const { begin, issueKey, label, frames } = await setUp();
    await label(["ci"]);
    const { key } = await issueKey({ scopes, deviceTags: ["ci"] });
    const finish = await begin(key, name);
    await label([]);
    expect(codeOf(await finish())).toEqual([404, "connection_not_found"]);
    expect(frames).toEqual([]);
  });

  test("reaches a device that has received the tag of its key", async () => {
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
  ])("is held to the %s that its key has by then", async (_what, restricted, code) => {
    const { begin, issueKey, patch, frames } = await setUp();
    const { key, record } = await issueKey({ scopes });
    const finish = await begin(key, "send");
    await patch(record.id, restricted);
    expect(problemOf(await finish()).errorCode).toBe(code);
    expect(frames).toEqual([]);
  });

  test("is carried out and recorded once when nothing has changed", async () => {
    const { begin, issueKey, entries } = await setUp();
    const { key } = await issueKey({ scopes });
    const finish = await begin(key, "send");
    expect(bodyOf(await finish())).toMatchObject({ success: true });
    const sends = entries.filter(({ type }) => type.startsWith("send_"));
    expect(sends).toMatchObject([{ type: "send_started", deviceId: "device-1" }, { type: "send_finished" }]);
  });

  test("is recorded as refused once, with the key that began it", async () => {
    const { begin, clock, issueKey, keyStore, entries } = await setUp();
    const { key, record } = await issueKey({ scopes });
    const finish = await begin(key, "send");
    await revokeKey(keyStore, record.id, clock.now());
    await finish();
    const sends = entries.filter(({ type }) => type.startsWith("send_"));
    expect(sends).toMatchObject([{ type: "send_refused", keyId: record.id, deviceId: "device-1", status: 401 }]);
  });
});
