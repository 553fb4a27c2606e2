/** The random steps of a simulation, and its end: everything that goes wrong stops, and the system must recover completely. */
import type { Random } from "@letta-environments/testkit";
import { callerKinds, type SendRequest, type SimulatedKey } from "./callers.ts";
import {
  type ActionSession,
  actInConversations,
  finishConversations,
  followConversations,
} from "./conversations/actions.ts";
import { isRemembered, messageKey, type Message } from "./truth.ts";
import type { World } from "./world.ts";

/** Performs the steps of one world. */
export interface Steps {
  /** Does one random thing, lets some time pass and checks everything. */
  step(): Promise<void>;
  /** Ends all faults, waits until every call has ended, and checks recovery, replays, the audit log and leaks. */
  finish(): Promise<void>;
}

/** A send, with the kind of its caller: our client adds members to the body, and the same id with another body is refused. */
type Sent = SendRequest;

interface Session {
  readonly world: World;
  readonly sent: Sent[];
  newMessage(to: Pick<Message, "tenant" | "deviceId" | "agentId" | "conversationId">): Message;
  /** `null` where devices run no turns. */
  readonly conversations: ActionSession | null;
}

function createSession(world: World): Session {
  /** Number of the last message of each tenant. */
  const lastIds = new Map<string, number>();
  const sent: Sent[] = [];
  const newMessage: Session["newMessage"] = (to) => {
    const number = (lastIds.get(to.tenant) ?? 0) + 1;
    lastIds.set(to.tenant, number);
    return { ...to, id: `m-${number}`, text: `<${to.tenant}/${to.deviceId}> ${number}` };
  };
  const { conversations } = world;
  return {
    world,
    sent,
    newMessage,
    conversations: conversations && { world, conversations, sent, newMessage },
  };
}

/** Creates the steps of a world. */
export function createSteps(world: World): Steps {
  const session = createSession(world);
  const { random, clock, truth } = world;
  return {
    async step() {
      await act(session);
      reconnect(world);
      if (session.conversations !== null) followConversations(session.conversations);
      await clock.advance(pickDuration(random));
      truth.check();
    },
    finish: () => finish(session),
  };
}

function pickDuration(random: Random): number {
  const [below, least] = random.pickWeighted([
    [50, [50, 0]],
    [30, [500, 50]],
    [16, [2_500, 500]],
    [3.7, [12_000, 3_000]],
    [0.3, [60_000, 15_000]],
  ] as const);
  return least + random.below(below);
}

async function act(session: Session): Promise<void> {
  const { world } = session;
  const { random, faults } = world;
  if (session.conversations !== null && random.happens(0.45)) return actInConversations(session.conversations);
  const action = random.pickWeighted([
    [44, "send"],
    [14, "repeat"],
    [8, "read"],
    [1.5, "burst"],
    [12, "device"],
    [2, "outage"],
    [1, "crash"],
    [2, "wall-clock"],
    [14, "wait"],
  ] as const);
  switch (action) {
    case "send":
      return send(session, pickKey(world));
    case "repeat":
      return repeat(session);
    case "read":
      return read(world);
    case "burst": {
      const key = pickKey(world);
      for (let count = random.pick([10, 40, 70]); count > 0; count--) {
        if (random.happens(0.5)) send(session, key);
        else read(world, key);
      }
      return;
    }
    case "device":
      return disturbDevice(world);
    case "outage":
      return faults.setStoreOutage(random.happens(0.5));
    case "crash":
      return faults.happens("crashes") ? crash(world) : undefined;
    case "wall-clock": {
      if (!faults.happens("wall-clock")) return;
      const byMs = Math.round((random.fraction() * 2 - 1) * random.pick([5_000, 3_600_000, 86_400_000]));
      world.trace.record(`the wall clock moves by ${byMs} ms`);
      return world.clock.shiftWallTime(byMs);
    }
    case "wait":
  }
}

async function crash(world: World): Promise<void> {
  const { random, clock } = world;
  world.crash();
  if (random.happens(0.5)) await clock.advance(random.below(3_000));
  await world.start();
}

function reconnect({ random, embedded, gateway }: World): void {
  for (const device of embedded) {
    if (gateway !== null && !device.isOnline && random.happens(0.3)) void device.connect();
  }
}

function disturbDevice({ random, embedded, upstream, faults }: World): void {
  if (upstream !== null) {
    const device = random.pick(upstream.devices);
    if (!faults.happens("devices") || random.happens(0.5)) return;
    if (device.isOnline && random.happens(0.5)) device.isOnline = false;
    else {
      if (random.happens(0.5))
        device.connectionIds.push(`conn-${device.tenant}-${device.deviceId}-${device.connectionIds.length + 1}`);
      device.isOnline = true;
    }
    return;
  }
  const device = random.pick(embedded);
  const action = random.pickWeighted([
    [faults.happens("frames") ? 3 : 0, () => device.drop()],
    [faults.happens("devices") ? 2 : 0, () => void device.register()],
    [3, () => device.say({ type: "ping" })],
    [2, () => device.say({ type: "update_device_status", device_status: { current_permission_mode: "standard" } })],
    [
      1,
      () =>
        device.say(
          random.pick(["garbage", { type: 1 }, { type: "input_accepted", request_id: "unknown", accepted: true }]),
        ),
    ],
  ] as const);
  action();
}

function send(session: Session, key: SimulatedKey): void {
  const { world, newMessage } = session;
  const { random } = world;
  const device = random.pick(world.devices.filter(({ tenant }) => tenant === key.tenant || random.happens(0.05)));
  const connectionId = random.happens(0.93)
    ? device.connectionIds.at(-1)
    : random.pick([...device.connectionIds, "conn-unknown"]);
  if (connectionId === undefined) return;
  const { tenant, deviceId } = device;
  const agentId = random.pick(["agent-1", "agent-2"]);
  const conversationId = random.pick(["default", "conv-1"]);
  const messages = Array.from({ length: random.happens(0.1) ? 2 : 1 }, () => {
    const message = newMessage({ tenant, deviceId, agentId, conversationId });
    // A remote server decides itself whether a device has asked.
    const isDecision = world.upstream !== null && random.happens(0.2);
    return isDecision ? { ...message, decision: random.pick(["allow", "deny"] as const) } : message;
  });
  const idempotencyKey = random.happens(0.2)
    ? `key-${random.happens(0.9) ? messages[0]?.id : "used before"}`
    : undefined;
  const request = { kind: random.pick(callerKinds), key, connectionId, messages, idempotencyKey };
  session.sent.push(request);
  void world.callers.send(request);
}

/** A key of a caller: mostly one that may do everything. */
function pickKey({ random, keys }: World): SimulatedKey {
  const full = keys.filter(({ name }) => name.endsWith("/full"));
  return random.pick(random.happens(0.6) ? full : keys);
}

/** Sends an earlier body again, mostly unchanged, to the device's present connection or to the earlier one. */
function repeat({ world, sent }: Session): void {
  const { random } = world;
  const earlier = sent.slice(-30);
  if (earlier.length === 0) return;
  const { kind, key, connectionId: earlierId, messages, idempotencyKey } = random.pick(earlier);
  const device = deviceOf(world, { messages });
  const connectionId = random.happens(0.8) ? (device?.connectionIds.at(-1) ?? earlierId) : earlierId;
  const changed = random.happens(0.1);
  const body = messages.map((message) => (changed ? changedMessage(message) : message));
  const part = random.happens(0.1) ? body.slice(0, 1) : body;
  void world.callers.send({ kind, key, connectionId, messages: part, idempotencyKey });
}

function changedMessage(message: Message): Message {
  const text = `${message.text} changed`;
  return message.decision === undefined
    ? { ...message, text }
    : { ...message, text, decision: message.decision === "allow" ? "deny" : "allow" };
}

function deviceOf({ devices }: World, { messages: [first] }: Pick<Sent, "messages">) {
  return devices.find(({ tenant, deviceId }) => tenant === first?.tenant && deviceId === first.deviceId);
}

function read({ random, keys, callers }: World, key: SimulatedKey = random.pick(keys)): void {
  void (random.happens(0.5) ? callers.list(key) : callers.retrieve(key, random.pick(["d1", "d2", "unknown"])));
}

/** Longest time until every call has ended after the last fault: a caller's timeout, in milliseconds. */
const maxCallMs = 200_000;

async function finish(session: Session): Promise<void> {
  const { world } = session;
  const { faults, truth, clock, callers, embedded, upstream } = world;
  faults.end();
  await world.start();
  for (const device of upstream?.devices ?? []) device.isOnline = true;
  for (let waitedMs = 0; callers.running > 0 && waitedMs < maxCallMs; waitedMs += 5_000) await clock.advance(5_000);
  if (callers.running > 0) truth.violate(`${callers.running} calls never end`);
  await connectAll(world);
  truth.check();
  await recover(session);
  if (session.conversations !== null) await finishConversations(session.conversations);
  await replay(session);
  await verify(world);
  world.conversations?.drop();
  for (const device of embedded) device.drop();
  await clock.advance(60_000);
  await stop(world);
  truth.check();
}

async function connectAll({ embedded, clock }: World): Promise<void> {
  for (let round = 0; round < 3; round++) {
    for (const device of embedded) if (!device.isOnline) void device.connect();
    await clock.advance(1_000);
  }
}

/** Longest time for which the leases of a killed gateway count as requests in progress, in milliseconds. */
const leaseMs = 60_000;

/** After the last fault, a new message to every device is delivered at once. */
async function recover(session: Session): Promise<void> {
  const { world } = session;
  await world.clock.advance(leaseMs + 1_000);
  for (const { tenant, deviceId, connectionIds } of world.devices) {
    const key = world.keys.find(({ name }) => name === `${tenant}/full`);
    const connectionId = connectionIds.at(-1);
    if (key === undefined || connectionId === undefined) continue;
    const id = `m-last-${deviceId}`;
    const message: Message = {
      tenant,
      deviceId,
      agentId: "agent-1",
      conversationId: "last",
      id,
      text: `<${tenant}/${deviceId}> last`,
    };
    await expectSuccess(world, { kind: "sdk", key, connectionId, messages: [message] }, "after the last fault");
  }
}

/** A message that a device accepted is not delivered again, and its repeat has the first result. */
async function replay({ world, sent }: Session): Promise<void> {
  const { truth } = world;
  const succeeded = new Set(
    truth.attempts.flatMap(({ state, messages }) =>
      typeof state === "object" && state.status === 200 ? messages.map(textKey) : [],
    ),
  );
  const repeatable = sent.filter(({ messages }) =>
    messages.every((message) => succeeded.has(textKey(message)) && mustReplay(world, message)),
  );
  for (const send of repeatable.slice(-5)) {
    const connectionId = deviceOf(world, send)?.connectionIds.at(-1) ?? send.connectionId;
    await expectSuccess(world, { ...send, connectionId }, "repeated");
  }
}

function textKey(message: Message): string {
  return `${messageKey(message)} ${message.text}`;
}

function mustReplay({ truth, retentionNow }: World, message: Message): boolean {
  const delivery = truth.deliveries.get(messageKey(message));
  if (delivery === undefined || delivery.accepted === false || truth.isExcused(message.id)) return false;
  // After a day the id was free for another text.
  if (delivery.text !== message.text) return false;
  return isRemembered(delivery, retentionNow() + 120_000);
}

async function expectSuccess(world: World, send: Sent, when: string): Promise<void> {
  const { truth, callers, clock, keys } = world;
  const key = keys.find(({ name }) => name === `${send.key.tenant}/full`) ?? send.key;
  const before = truth.attempts.length;
  void callers.send({ ...send, key, kind: send.kind === "client" ? "client" : "sdk" });
  for (let waitedMs = 0; callers.running > 0 && waitedMs < maxCallMs; waitedMs += 500) await clock.advance(500);
  const last = truth.attempts.slice(before).at(-1)?.state;
  if (typeof last === "object" && last.status === 200) return;
  truth.violate(`${send.messages.map(messageKey).join(", ")} ${when}: ${JSON.stringify(last)} instead of 200`);
}

async function verify({ gateway, truth }: World): Promise<void> {
  const report = await gateway?.verifyAudit();
  if (report?.intact !== true) truth.violate(`the audit log is damaged: ${JSON.stringify(report?.findings)}`);
}

/** Stops the gateway in order. Nothing may be left: no call, no timer. */
async function stop(world: World): Promise<void> {
  const { gateway, truth, clock, network, upstream } = world;
  let isStopped = false;
  void gateway?.stop().then(() => (isStopped = true));
  await clock.advance(60_000);
  if (!isStopped) truth.violate("the gateway does not stop");
  if (clock.timerCount > 0) truth.violate(`${clock.timerCount} timers are left`);
  if (network.inFlight > 0) truth.violate(`${network.inFlight} requests are left`);
  if (upstream !== null && upstream.inFlight > 0) truth.violate(`${upstream.inFlight} upstream calls are left`);
}
