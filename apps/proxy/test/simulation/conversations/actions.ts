/** The random steps of those who watch and decide, and the end: every turn ends, and every status and every event is as the devices know. */
import type { SendRequest, SimulatedKey } from "../callers.ts";
import { type Message, messageKey } from "../truth.ts";
import type { World } from "../world.ts";
import type { Conversations } from "./conversations.ts";
import { compareReaders, findRepeat } from "./readers.ts";

/** The part of a session that the actions use. */
export interface ActionSession {
  readonly world: World;
  readonly conversations: Conversations;
  readonly sent: readonly SendRequest[];
  newMessage(to: Pick<Message, "tenant" | "deviceId" | "agentId" | "conversationId">): Message;
}

/** Does one random thing. */
export function actInConversations(session: ActionSession): void {
  const { world, conversations } = session;
  const { random, faults } = world;
  const action = random.pickWeighted([
    [30, () => readStatus(session)],
    [30, () => void decideAll(session, random.pick(conversations.keys))],
    [12, () => control(session)],
    [16, () => disturbViewer(session)],
    [6, () => disturbReader(session)],
    [faults.happens("devices") ? 1.5 : 0, () => random.pick(world.embedded).kill()],
  ] as const);
  action();
}

/** Viewers and readers that lost their connection come back, and readers take what has arrived. */
export function followConversations({ world, conversations }: ActionSession): void {
  const { random, gateway } = world;
  for (const reader of conversations.readers) {
    reader.poll();
    if (gateway !== null && !reader.isOpen && random.happens(0.3)) void reader.open();
  }
  for (const viewer of conversations.viewers) {
    const connectionId = connectionOf(world, viewer.key.tenant, viewer.deviceId);
    if (gateway !== null && !viewer.isOpen && connectionId !== undefined && random.happens(0.1))
      void viewer.open(connectionId);
  }
}

function connectionOf({ embedded }: World, tenant: string, deviceId: string): string | undefined {
  return embedded.find((device) => device.tenant === tenant && device.deviceId === deviceId)?.connectionIds.at(-1);
}

/** The messages that are in one of these phases, the oldest first. */
function messagesIn({ record }: Conversations, kinds: readonly string[]): readonly Message[] {
  const found = [...record.messages.values()].filter(({ phases }) => kinds.includes(phases.at(-1)?.phase.kind ?? ""));
  return found.map(({ message }) => message);
}

/** Reads the status of a recent message, half of the time of one that has not ended. */
function readStatus({ world, conversations, sent }: ActionSession): void {
  const { random, keys } = world;
  const recent = sent.slice(-40).flatMap(({ messages }) => messages);
  if (recent.length === 0) return;
  const open = messagesIn(conversations, ["queued", "running", "waiting"]).slice(-100);
  const message = open.length > 0 && random.happens(0.5) ? random.pick(open) : random.pick(recent);
  const key = random.pick(keys.filter(({ tenant }) => tenant === message.tenant || random.happens(0.05)));
  const connectionId = connectionOf(world, message.tenant, message.deviceId);
  if (connectionId !== undefined) void conversations.people.readStatus(key, connectionId, message);
}

/** Decides on everything that a key is shown, each time with up to three keys at once, which need not agree. */
async function decideAll({ world, conversations }: ActionSession, key: SimulatedKey): Promise<void> {
  const { random } = world;
  const { people, keys } = conversations;
  const rivals = keys.filter(({ tenant }) => tenant === key.tenant);
  for (const request of await people.listRequests(key)) {
    for (let count = random.pick([1, 1, 2, 3]); count > 0; count--)
      void people.decide(random.pick(rivals), request, random.happens(0.7));
  }
}

/** The conversations in which callers send. */
const everyConversation = ["agent-1", "agent-2"].flatMap((agentId) =>
  ["default", "conv-1"].map((conversationId) => ({ agentId, conversationId })),
);

/** Controls a conversation in which a turn runs, if there is one. */
function control({ world, conversations }: ActionSession): void {
  const { random, embedded } = world;
  const { people, keys } = conversations;
  const running = messagesIn(conversations, ["running", "waiting"]).slice(-100);
  const message = running.length > 0 ? random.pick(running) : undefined;
  const key = random.pick(keys.filter(({ tenant }) => message === undefined || tenant === message.tenant));
  const device =
    embedded.find(({ tenant, deviceId }) => tenant === message?.tenant && deviceId === message.deviceId) ??
    random.pick(embedded);
  const connectionId = device.connectionIds.at(-1);
  if (connectionId === undefined) return;
  const { agentId, conversationId } = message ?? random.pick(everyConversation);
  const operation = random.pickWeighted([
    [4, "stop"],
    [3, "mode"],
    [4, "queue/resume"],
    [2, "remove"],
  ] as const);
  if (operation !== "remove") return void people.control(key, { connectionId, agentId, conversationId }, operation);
  void people.removeItem(key, connectionId, `q-${device.deviceId}-${1 + random.below(60)}`);
}

function disturbViewer({ world, conversations, newMessage }: ActionSession): void {
  const { random } = world;
  const viewer = random.pick(conversations.viewers);
  const { tenant } = viewer.key;
  const agentId = random.pick(["agent-1", "agent-2"]);
  const conversationId = random.pick(["default", "conv-1"]);
  const runtime = { agent_id: agentId, conversation_id: conversationId };
  const action = random.pickWeighted([
    [5, () => viewer.send(newMessage({ tenant, deviceId: viewer.deviceId, agentId, conversationId }))],
    [2, () => viewer.say({ type: "sync", request_id: "sync-1", runtime })],
    [1, () => viewer.say({ type: "abort_message", request_id: "abort-1", runtime })],
    [1, () => viewer.say({ type: "secret_list", request_id: "secrets-1" })],
    [1, () => viewer.drop()],
  ] as const);
  action();
}

function disturbReader({ world, conversations }: ActionSession): void {
  world.random.pick(conversations.readers).drop();
}

/** Rounds until every turn has ended: each one may ask for several permissions. */
const maxRounds = 60;

/** Lets every turn end, and compares what the gateway says with what the devices know. */
export async function finishConversations(session: ActionSession): Promise<void> {
  const { world, conversations } = session;
  const { clock, embedded, truth } = world;
  const full = conversations.keys.filter(({ name }) => name.endsWith("/full"));
  const isRunning = (): boolean => messagesIn(conversations, ["queued", "running", "waiting"]).length > 0;
  for (let round = 0; round < maxRounds && isRunning(); round++) {
    for (const key of full) {
      void decideAll(session, key);
      for (const { tenant, connectionIds } of embedded) {
        const connectionId = connectionIds.at(-1);
        if (tenant === key.tenant && connectionId !== undefined)
          for (const conversation of everyConversation)
            void conversations.people.control(key, { connectionId, ...conversation }, "queue/resume");
      }
    }
    await clock.advance(3_000);
    for (const reader of conversations.readers) reader.poll();
  }
  if (isRunning()) truth.violate("a turn never ends, although every request is decided");
  await checkStatuses(session, full);
  await checkEvents(session);
}

/** Statuses that are checked, of the latest messages. */
const checkedStatuses = 80;

async function checkStatuses({ world, conversations }: ActionSession, full: readonly SimulatedKey[]): Promise<void> {
  const { truth, clock, startedAtMs } = world;
  const { record, people } = conversations;
  for (const { message, phases } of [...record.messages.values()].slice(-checkedStatuses)) {
    const key = full.find(({ tenant }) => tenant === message.tenant);
    const connectionId = connectionOf(world, message.tenant, message.deviceId);
    if (key === undefined || connectionId === undefined) continue;
    const reading = people.readStatus(key, connectionId, message);
    await clock.advance(10_000);
    const state = (await reading)?.state;
    const last = phases.at(-1)?.phase;
    const isSurelyKnown =
      last?.kind === "ended" && last.isListed && (phases[0]?.atMs ?? 0) > startedAtMs && !truth.isExcused(message.id);
    if (isSurelyKnown && state !== "finished" && state !== "cancelled")
      truth.violate(`${messageKey(message)} is ${state} in the end, although its device has ${JSON.stringify(last)}`);
  }
}

async function checkEvents({ world, conversations }: ActionSession): Promise<void> {
  const { truth, clock } = world;
  const { readers } = conversations;
  for (const reader of readers) if (!reader.isOpen) void reader.open();
  await clock.advance(20_000);
  for (const reader of readers) reader.drop();
  for (const reader of readers) {
    const repeat = findRepeat(reader);
    if (repeat !== null) truth.violate(`${reader.key.name} received twice: ${JSON.stringify(repeat)}`);
    const [first] = reader.events;
    if (first === undefined) continue;
    const witness = conversations.createReader(reader.key, first.id);
    void witness.open();
    await clock.advance(20_000);
    witness.drop();
    const difference = compareReaders(reader, witness);
    if (difference !== null) truth.violate(difference);
  }
}
