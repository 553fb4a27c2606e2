import type { PlainResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { createDeviceWorld } from "../test/support/device-world.ts";
import { fakeRequest } from "../test/support/fake-request.ts";
import { disableKey, revokeKey } from "../test/support/end-keys.ts";
import { problemOf } from "../test/support/test-proxy.ts";
import { type KeyPatch, type KeyRequest, patchKey } from "./keys/key-lifecycle.ts";

const codeOf = (response: PlainResponse) => [response.status, problemOf(response).errorCode];

/** A gateway whose device has not acknowledged the message of another key, and a send that waits behind that message. */
async function setUp(request: Partial<KeyRequest> = {}, options?: Parameters<typeof createDeviceWorld>[1]) {
  const world = await createDeviceWorld(undefined, options);
  const { clock, keyStore, connectionId } = world;
  const { key: adminKey } = await world.issueKey({ scopes: ["admin"] });
  const label = async (tags: readonly string[]): Promise<void> => {
    const path = "/v1/environments/device-1";
    await world.proxy.handle(fakeRequest({ key: adminKey, method: "PATCH", path, body: JSON.stringify({ tags }) }));
  };
  await label(["ci"]);
  const other = await world.issueKey({ scopes: ["send"] });
  const { key, record } = await world.issueKey({ scopes: ["send"], ...request });
  const send = (sender: string, id: string): Promise<PlainResponse> => {
    const messages = [{ role: "user", content: "x", client_message_id: id }];
    return world.control(sender, `${connectionId}/messages`, { agentId: "agent-1", messages });
  };
  const first = send(other.key, "m-1");
  await clock.advance(1);
  const held = send(key, "m-2");
  await clock.advance(1);
  return {
    ...world,
    record,
    held,
    label,
    patch: (patch: KeyPatch) => keyStore.update(record.id, (found) => patchKey(found, patch, clock.now())),
    written: () => world.frames.filter(({ type }) => type === "input").length,
    /** The first message is acknowledged, and the other key sends the held one. */
    async repeat() {
      world.acknowledge();
      await first;
      const repeated = send(other.key, "m-2");
      await clock.advance(1);
      world.acknowledge();
      return repeated;
    },
  };
}

test.each([
  ["revoked", revokeKey],
  ["disabled", disableKey],
])(
  "a send whose key is %s before it is written is 401, is recorded with this result, and leaves its ids free",
  async (how, end) => {
    const { held, record, keyStore, clock, entries, events, written, repeat } = await setUp();
    await end(keyStore, record.id, clock.now());
    await clock.advance(1_000);
    expect(codeOf(await held)).toEqual([401, "invalid_key"]);
    expect(written()).toBe(1);
    expect(events.findLast(({ type }) => type === "request")).toMatchObject({ status: 401, reason: `key_${how}` });
    const [started] = entries.filter((entry) => entry.type === "send_started" && entry.keyId === record.id);
    const sendId = started?.type === "send_started" ? started.sendId : null;
    expect(entries.filter((entry) => "sendId" in entry && entry.sendId === sendId)).toMatchObject([
      { type: "send_started" },
      { type: "send_finished", status: 401, code: "invalid_key" },
    ]);
    const repeated = await repeat();
    expect([repeated.status, repeated.headers["idempotency-replayed"], written()]).toEqual([200, undefined, 2]);
  },
);

test.each<[string, KeyPatch, string]>([
  ["scopes", { scopes: ["read"] }, "insufficient_scope"],
  ["agents", { agentIds: ["agent-2"] }, "agent_not_allowed"],
  ["devices", { deviceIds: ["device-2"] }, "connection_not_found"],
])("a send is limited to the %s that its key has when it is written", async (_what, restricted, code) => {
  const { held, patch, clock, written } = await setUp();
  await patch(restricted);
  await clock.advance(1_000);
  expect(problemOf(await held).errorCode).toBe(code);
  expect(written()).toBe(1);
});

test("a send that has waited is written if its key has other permissions by then that still allow it", async () => {
  const { held, patch, clock, written, acknowledge } = await setUp();
  await patch({ scopes: ["send", "read"], agentIds: ["agent-1"] });
  await clock.advance(1_000);
  expect(written()).toBe(2);
  acknowledge();
  expect((await held).status).toBe(200);
});

test.each<[string, Partial<KeyRequest>, KeyPatch, number]>([
  ["more", { deviceTags: ["ci"] }, { deviceTags: null }, 404],
  ["fewer", {}, { deviceTags: ["ci"] }, 200],
])(
  "a send does not use the permissions of a key that had %s of them for a moment",
  async (_what, own, moment, status) => {
    const request = { setMode: "standard", deviceTags: null, ...own } as const;
    const { held, label, patch, clock, written, acknowledge } = await setUp(request, { reportsModes: "slowly" });
    await patch(moment);
    // The message before it is awaited for a second; then the device needs nine to report the mode.
    await clock.advance(1_000);
    const { deviceTags } = request;
    await patch({ deviceTags });
    await label([]);
    await clock.advance(9_000);
    acknowledge();
    expect([(await held).status, written()]).toEqual([status, status === 200 ? 2 : 1]);
  },
);

test("a send whose body was late, and that waits after that, is not written two seconds after its key has ended", async () => {
  const { clock, keyStore, connectionId, issueKey, control, frames } = await createDeviceWorld();
  const other = await issueKey({ scopes: ["send"] });
  const { key, record } = await issueKey({ scopes: ["send"] });
  const send = (sender: string, id: string, more = {}): Promise<PlainResponse> => {
    const messages = [{ role: "user", content: "x", client_message_id: id }];
    return control(sender, `${connectionId}/messages`, { agentId: "agent-1", messages }, more);
  };
  const body = Promise.withResolvers<void>();
  const late = send(key, "m-2", { awaitBody: () => body.promise });
  await clock.advance(1);
  await revokeKey(keyStore, record.id, clock.now());
  await clock.advance(990);
  void send(other.key, "m-1");
  await clock.advance(1);
  body.resolve();
  await clock.advance(1_000);
  expect(codeOf(await late)).toEqual([401, "invalid_key"]);
  expect(frames.filter(({ type }) => type === "input")).toHaveLength(1);
});
