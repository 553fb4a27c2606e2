/**
 * Random changes of a conversation's mode, viewers that start it, and messages of limited keys. The device reads its frames in order, drops a report
 * for a newer one, lets responses overtake reports, and handles a `runtime_start` late or never.
 */
import { allowsMode, isSameMode, type Principal } from "@letta-environments/schema";
import type { Clock } from "@letta-environments/platform";
import { createRandom, type Random } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { acknowledgementTimeoutMs, maxMessageWaitMs, maxStartMs } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { anyone, createHarness, userMessage } from "./support/harness.ts";
import { watchDevice } from "./support/viewer.ts";

const worldCount = 40;
const stepsPerWorld = 80;
const operator: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view", "control"] as const) };
const keys: readonly Principal[] = [
  { ...anyone, keyId: "limited", maxMode: "acceptEdits" },
  { ...anyone, keyId: "setting", setMode: "standard" },
  { ...anyone, keyId: "both", maxMode: "acceptEdits", setMode: "acceptEdits" },
];
const modes = ["standard", "acceptEdits", "unrestricted"];
const runtime = { agent_id: "agent-1", conversation_id: "default" };

interface Frame extends Record<string, unknown> {
  readonly type: string;
  readonly request_id?: string | undefined;
  readonly payload?: { readonly mode?: string; readonly messages?: readonly { readonly client_message_id: string }[] };
}

interface Observer {
  /** Called with a frame that is written to the device. */
  readonly onWritten: (frame: Frame) => void;
  /** Called with the id of a message that runs, and the mode in which it does. */
  readonly onRun: (id: string, mode: string) => void;
  /** Called with a frame of the device that is about to arrive. */
  readonly onDelivered: (frame: Frame) => void;
}

function createDevice(random: Random, socket: FakeSocket, { onWritten, onRun, onDelivered }: Observer) {
  const unread: Frame[] = [];
  const sent: Frame[] = [];
  const starts: Frame[] = [];
  let mode = "standard";
  /** The report that waits while much is unsent. */
  let held: Frame | null = null;
  let isCongested = false;
  socket.onFrame = (frame) => {
    unread.push(frame as Frame);
    onWritten(frame as Frame);
  };
  const report = (): void => {
    const frame = { type: "update_device_status", runtime, device_status: { current_permission_mode: mode } };
    if (isCongested) held = frame;
    else sent.push(frame);
  };
  const respond = ({ type, request_id }: Frame, success = true): void =>
    void sent.push({ type: `${type}_response`, request_id, runtime, success });
  return {
    report,
    setCongested(to: boolean): void {
      isCongested = to;
      if (!to && held !== null) sent.push(held);
      if (!to) held = null;
    },
    readNext(): boolean {
      const frame = unread.shift();
      const { type, request_id, payload } = frame ?? {};
      if (frame === undefined) return false;
      if (type === "change_device_state" && payload?.mode !== undefined) mode = payload.mode;
      if (type === "change_device_state" || type === "sync") report();
      if (type === "sync") respond(frame);
      if (type === "runtime_start") starts.push(frame);
      if (type !== "input") return true;
      onRun(idOf(frame), mode);
      sent.push({ type: "input_accepted", request_id, accepted: true, disposition: "started" });
      return true;
    },
    /** Handles a `runtime_start`. One that fails can have set the mode. */
    finishStart(): boolean {
      const [frame] = starts.splice(random.below(Math.max(1, starts.length)), 1);
      if (frame === undefined) return false;
      const isSuccess = random.happens(0.7);
      if (isSuccess || random.happens(0.5)) mode = String(frame["mode"]);
      if (random.happens(0.5)) report();
      if (random.happens(0.9)) respond(frame, isSuccess);
      if (isSuccess) report();
      return true;
    },
    deliverNext(): boolean {
      const frame = sent.shift();
      if (frame === undefined) return false;
      onDelivered(frame);
      socket.say(frame);
      return true;
    },
  };
}

function idOf({ payload }: Frame): string {
  return payload?.messages?.[0]?.client_message_id ?? "";
}

/** Watches the messages that the device has not acknowledged, and calls back with the id of one that did not wait for them long enough. */
function createOrderWatch(clock: Pick<Clock, "monotonic">, onEarly: (id: string) => void) {
  const requestedAtMs = new Map<string, number>();
  const writtenAtMs = new Map<string | undefined, number>();
  return {
    requested: (id: string) => void requestedAtMs.set(id, clock.monotonic()),
    written(frame: Frame): void {
      if (frame.type !== "input") return;
      const now = clock.monotonic();
      const id = idOf(frame);
      // The result of an older one may be unknown already.
      const isWaiting = (atMs: number): boolean => now - atMs < acknowledgementTimeoutMs - maxMessageWaitMs;
      const oldestAtMs = [...writtenAtMs.values()].find(isWaiting);
      if (oldestAtMs !== undefined && now - Math.max(oldestAtMs, requestedAtMs.get(id) ?? 0) < maxMessageWaitMs)
        onEarly(id);
      writtenAtMs.set(frame.request_id, now);
    },
    delivered: ({ request_id: requestId }: Frame) => void writtenAtMs.delete(requestId),
  };
}

async function simulate(seed: number) {
  const random = createRandom(seed);
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const senders = new Map<string, Principal>();
  const wrong: string[] = [];
  const early: string[] = [];
  const order = createOrderWatch(harness.clock, (id) => void early.push(`world ${seed}: ${id}`));
  const device = createDevice(random, socket, {
    onWritten: order.written,
    onRun(id, mode) {
      const { keyId, maxMode, setMode } = senders.get(id) ?? anyone;
      const isAllowed = allowsMode({ maxMode }, mode) && isSameMode(mode, setMode ?? mode);
      if (!isAllowed) wrong.push(`world ${seed}: ${id} of '${keyId}' ran in ${mode}`);
    },
    onDelivered: order.delivered,
  });
  const viewer = await watchDevice(harness, connectionId, operator);
  const send = (principal: Principal) => {
    const id = `m-${senders.size}`;
    senders.set(id, principal);
    order.requested(id);
    return harness.send(connectionId, { messages: [userMessage(id)] }, { principal });
  };
  const advance = async (ms: number): Promise<void> => {
    socket.say({ type: "ping" });
    await harness.clock.advance(ms);
  };
  const setMode = (mode: string) =>
    harness.call("POST", `/v1/environments/${connectionId}/mode`, {
      body: { agentId: "agent-1", mode },
      principal: operator,
    });
  const actions: readonly (readonly [number, () => unknown])[] = [
    [12, () => void setMode(random.pick(modes))],
    [5, () => viewer.say({ type: "runtime_start", request_id: "r", ...runtime, mode: random.pick(modes) })],
    [20, () => void send(random.pick(keys))],
    [30, device.readNext],
    [25, device.deliverNext],
    [4, device.finishStart],
    [2, device.report],
    [4, () => device.setCongested(random.happens(0.5))],
    [3, () => advance(random.pick([1_000, 11_000]))],
  ];
  for (let step = 0; step < stepsPerWorld; step++) {
    await random.pickWeighted(actions)();
    await harness.settle();
  }
  const drain = async (): Promise<void> => {
    device.setCongested(false);
    await harness.settle();
    while (device.readNext() || device.finishStart() || device.deliverNext()) await harness.settle();
  };
  await drain();
  for (let waited = 0; waited <= maxStartMs; waited += 15_000) {
    await advance(15_000);
    await drain();
  }
  const last: number[] = [];
  void setMode("standard");
  for (const key of keys) {
    await drain();
    const answer = send(key);
    await drain();
    last.push((await answer).status);
  }
  return { wrong, early, last };
}

test("no message runs in a mode that its key does not allow or leaves too soon after another one, and no key is locked out once the device is idle", async () => {
  const worlds = [];
  for (let seed = 1; seed <= worldCount; seed++) worlds.push(await simulate(seed));
  expect(worlds.flatMap(({ early }) => early)).toEqual([]);
  expect(worlds.flatMap(({ wrong }) => wrong)).toEqual([]);
  expect(
    worlds.flatMap(({ last }, index) => (last.some((status) => status !== 200) ? [{ seed: index + 1, last }] : [])),
  ).toEqual([]);
});
