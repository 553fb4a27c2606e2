/** Callers of the embedded server who disconnect: what has left runs to its end, and the audit log has its result. */
import { expect, test } from "vitest";
import { controlKey, createDeviceWorld } from "./support/device-world.ts";

test("a message that has left runs to its end when its caller disconnects, and the log has its result", async () => {
  const { send, acknowledge, entries, issueKey, clock } = await createDeviceWorld();
  const { key } = await issueKey({ scopes: ["send"] });
  const caller = new AbortController();
  const response = send(key, "1", { signal: caller.signal });
  await clock.advance(600);
  caller.abort();
  await clock.advance(5_400);
  expect(entries.map(({ type }) => type)).toEqual(["send_started"]);
  acknowledge();
  expect((await response).status).toBe(200);
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 200, code: null });
});

test("a message whose caller disconnects has its result in the log when the device never acknowledges it", async () => {
  const { send, entries, issueKey, clock } = await createDeviceWorld();
  const { key } = await issueKey({ scopes: ["send"] });
  const caller = new AbortController();
  const response = send(key, "1", { signal: caller.signal });
  await clock.advance(0);
  caller.abort();
  await clock.advance(30_000);
  await response;
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 504, code: "delivery_unknown" });
});

test("a caller that waits for the end of a turn and disconnects ends the wait, and the message is delivered", async () => {
  const { send, acknowledge, entries, issueKey, clock } = await createDeviceWorld();
  const { key } = await issueKey({ scopes: ["send", "read"] });
  const caller = new AbortController();
  const response = send(key, "1", { signal: caller.signal, headers: { prefer: "wait=30" } });
  await clock.advance(0);
  acknowledge();
  await clock.advance(5_000);
  expect(entries.map(({ type }) => type)).toEqual(["send_started"]);
  caller.abort();
  await clock.advance(0);
  expect((await response).status).toBe(200);
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 200, code: null });
});

test("a message whose caller disconnects before it leaves is not sent, and the log does not wait", async () => {
  const { send, entries, frames, issueKey, clock } = await createDeviceWorld(undefined, { reportsModes: false });
  const setting = await issueKey({ scopes: ["send"], setMode: "standard" });
  const { key } = await issueKey({ scopes: ["send"] });
  const earlier = send(setting.key, "1");
  const caller = new AbortController();
  const response = send(key, "2", { signal: caller.signal });
  await clock.advance(1_000);
  caller.abort();
  expect((await response).status).toBe(499);
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 499 });
  await clock.advance(30_000);
  await earlier;
  expect(frames.map(({ type }) => type)).not.toContain("input");
});

test("a command that has left has its result in the log when its caller disconnects", async () => {
  const { control, entries, issueKey, connectionId, clock } = await createDeviceWorld(undefined, {
    reportsModes: false,
  });
  const { key } = await issueKey(controlKey);
  const caller = new AbortController();
  const mode = { agentId: "agent-1", mode: "standard" };
  const response = control(key, `${connectionId}/mode`, mode, { signal: caller.signal });
  await clock.advance(0);
  caller.abort();
  await clock.advance(10_000);
  await response;
  expect(entries.at(-1)).toMatchObject({ type: "control_finished", status: 504, code: "control_unknown" });
});
