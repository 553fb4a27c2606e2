import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { json, openStream, type PageStream, problem, sessionOf, stubPage } from "../../test/support/page.ts";
import type { DeviceConversations } from "./conversations.ts";

let stream: PageStream | null = null;
let opened: DeviceConversations | null = null;
let respondToSend: () => Response;
/** The messages that the gateway lists. */
let listed: readonly object[] = [];
/** Behind which event each stream begins. */
let from: (string | null)[] = [];
let scopes: readonly string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  [listed, from, scopes] = [[], [], ["read", "send"]];
  respondToSend = () => json(200, { success: true });
  stubPage((request) => {
    if (request.path === "/console/session") return json(200, sessionOf("a", scopes));
    if (request.method === "POST") return respondToSend();
    if (request.path.includes("/messages")) return json(200, { messages: listed, hasNextPage: false, cursor: null });
    from.push(new Headers(request.headers).get("last-event-id"));
    stream = openStream(request);
    return stream.response;
  });
});

afterEach(() => {
  opened?.close();
  // A stub of a timer hides the fake one, which has to be there again before it is replaced by the real one.
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Opens the view of the device as a signed-in user. */
async function open(): Promise<DeviceConversations> {
  opened?.close();
  stream = null;
  const [{ signIn }, { openConversations }] = await Promise.all([import("./session.ts"), import("./conversations.ts")]);
  await signIn({ key: "a" });
  opened = openConversations("device-1");
  await settled(() => stream !== null, true);
  return opened;
}

/** Something happens in a conversation of the device, and the view knows it. */
async function happen({ all }: DeviceConversations, agentId: string, conversationId = "default"): Promise<void> {
  const before = all.value;
  report(agentId, conversationId);
  await settled(() => all.value === before, false);
}

function report(agentId: string, conversationId = "default"): void {
  const message = { clientMessageId: "m", deviceId: "device-1", agentId, conversationId, state: "running" };
  stream?.write({ type: "message", id: "e-1", deviceId: "device-1", connectionId: "c", message });
}

const settled = <Value>(read: () => Value, expected: Value): Promise<void> =>
  vi.waitFor(() => expect(read()).toEqual(expected), { timeout: 10_000 });

test("a view opens on the latest stored conversation, and later events do not change it", async () => {
  const conversations = await open();
  await happen(conversations, "agent-old");
  await happen(conversations, "agent-late");
  await vi.advanceTimersByTimeAsync(5_000);
  await happen(conversations, "agent-other");
  expect(conversations.target.value).toEqual({ agentId: "agent-late", conversationId: "default" });
});

test("a history that takes several seconds to load opens on its latest conversation, unless the user has started a message", async () => {
  const conversations = await open();
  for (const agentId of ["agent-1", "agent-2", "agent-3"]) {
    await happen(conversations, agentId);
    await vi.advanceTimersByTimeAsync(500);
  }
  expect(conversations.target.value.agentId).toBe("agent-3");
  conversations.pin();
  await happen(conversations, "agent-4");
  expect(conversations.target.value.agentId).toBe("agent-3");
});

test("a history that loads in a hidden tab with delayed timers opens on its latest conversation", async () => {
  vi.setSystemTime(300);
  const set = setTimeout;
  const late = (run: () => void, ms = 0): unknown =>
    set(run, Math.ceil((Date.now() + ms) / 1_000) * 1_000 - Date.now());
  vi.stubGlobal("setTimeout", late);
  const conversations = await open();
  for (let event = 0; event < 10; event += 1) {
    report(`agent-${event}`);
    await vi.advanceTimersByTimeAsync(300);
  }
  await vi.advanceTimersByTimeAsync(1_000);
  expect(conversations.target.value.agentId).toBe("agent-9");
  await vi.advanceTimersByTimeAsync(2_000);
  await happen(conversations, "agent-other");
  expect(conversations.target.value.agentId).toBe("agent-9");
});

test("the displayed conversation does not change after half a minute, even on a device that is always busy", async () => {
  const conversations = await open();
  for (let event = 0; event < 80; event += 1) {
    await happen(conversations, `agent-${event}`);
    await vi.advanceTimersByTimeAsync(500);
  }
  const { agentId } = conversations.target.value;
  expect(Number(agentId.slice("agent-".length))).toBeLessThan(75);
});

test("the first event of a quiet device selects the conversation, even without an agent, and later events do not change it", async () => {
  const conversations = await open();
  await vi.advanceTimersByTimeAsync(5_000);
  await happen(conversations, "", "conversation-1");
  await happen(conversations, "agent-other");
  expect(conversations.target.value).toEqual({ agentId: "", conversationId: "conversation-1" });
});

test("after a message is sent, events do not switch the conversation, even when the view opens again", async () => {
  const conversations = await open();
  await happen(conversations, "", "conversation-1");
  const isSent = conversations.send("c", "hello");
  await happen(conversations, "agent-other");
  expect(await isSent).toBe(true);
  const again = await open();
  await happen(again, "agent-other");
  for (const { target } of [conversations, again])
    expect(target.value).toEqual({ agentId: "", conversationId: "conversation-1" });
});

test("a new browser loads the stored messages, and shows the latest conversation before any event arrives", async () => {
  const message = { deviceId: "device-1", conversationId: "default", state: "finished", sentAt: 1, updatedAt: 1 };
  listed = [
    { ...message, agentId: "agent-1", clientMessageId: "m-9", state: "running", sentAt: 9 },
    { ...message, agentId: "agent-2", clientMessageId: "m-2", sentAt: 2 },
    { ...message, agentId: "agent-1", clientMessageId: "m-1", text: "pong" },
  ];
  const conversations = await open();
  expect(from).toEqual(["oldest"]);
  await conversations.history.read("latest");
  expect(conversations.target.value).toEqual({ agentId: "agent-1", conversationId: "default" });
  const keys = (): readonly string[] => conversations.entries.value.map(({ key }) => key);
  expect(keys()).toEqual(["notice listed", "sent m-1", "last sent m-1", "sent m-9"]);
  await happen(conversations, "agent-1");
  expect(keys()).toEqual(["notice listed", "sent m-1", "last sent m-1", "sent m-9", "sent m"]);
  await vi.advanceTimersByTimeAsync(5_000);
  await happen(conversations, "agent-2");
  expect(conversations.target.value.agentId).toBe("agent-1");
});

test("events in another conversation leave the shown entries unchanged", async () => {
  listed = [
    { deviceId: "device-1", agentId: "agent-1", conversationId: "default", clientMessageId: "m-1", state: "finished" },
  ];
  const conversations = await open();
  await conversations.history.read("latest");
  await happen(conversations, "agent-1");
  for (const agentId of ["agent-1", "agent-of-no-event"]) {
    conversations.select({ agentId, conversationId: "default" });
    const before = conversations.entries.value;
    await happen(conversations, "agent-other");
    expect(conversations.entries.value).toBe(before);
  }
});

test("a message whose outcome is unknown keeps its place when the view opens again", async () => {
  const first = await open();
  const tell = async (id: string, sentAt: number): Promise<void> => {
    const scope = { deviceId: "device-1", agentId: "agent-1", conversationId: "default" };
    const output = { ...scope, delta: { message_type: "assistant_message", id: `to ${id}`, content: id } };
    stream?.write({ type: "message", id: "e-1", message: { ...scope, clientMessageId: id, state: "running", sentAt } });
    stream?.write({ type: "output", id: "e-2", ...output });
    await settled(() => keys().at(-1) !== undefined && keys().includes(`text to ${id}`), true);
  };
  const keys = (): readonly string[] => (opened ?? first).entries.value.map(({ key }) => key);
  first.select({ agentId: "agent-1", conversationId: "default" });
  await tell("m-1", Date.now() - 1_000);
  const before = keys();
  respondToSend = () => problem(504, "delivery_unknown");
  await first.send("c", "deploy");
  const sent = keys().slice(before.length);
  await tell("m-3", Date.now() + 1_000);
  const all = [...before, ...sent, "sent m-3", "text to m-3"];
  expect(keys()).toEqual(all);
  await open();
  expect(keys()).toEqual(sent);
  await tell("m-1", Date.now() - 1_000);
  expect(keys()).toEqual([...before, ...sent]);
  await tell("m-3", Date.now() + 1_000);
  expect(keys()).toEqual(all);
});

test("text events that arrive together are applied together, so that a long reply does not re-render the page for each", async () => {
  const conversations = await open();
  let changes = -1;
  const { effect } = await import("@preact/signals");
  const end = effect(() => {
    void conversations.entries.value;
    changes += 1;
  });
  const scope = { deviceId: "device-1", agentId: "agent-1", conversationId: "default" };
  for (let word = 0; word < 200; word += 1) {
    const delta = { message_type: "assistant_message", id: "reply", content: `${word} ` };
    stream?.write({ type: "output", id: `e-${word}`, ...scope, delta });
  }
  const text = (): string => conversations.entries.value.map((entry) => ("text" in entry ? entry.text : "")).join();
  await settled(() => text().endsWith("199 "), true);
  end();
  expect(changes).toBeLessThan(20);
});

test("a conversation is not shown as empty until its history and the list have loaded", async () => {
  const { failure, history } = await open();
  // The events begin a moment after the stream.
  await vi.advanceTimersByTimeAsync(500);
  expect(failure.value).toBeUndefined();
  await settled(() => failure.value, null);
  expect(history.state.value.isReading).toBe(true);
  await history.read("latest");
  expect(history.state.value.isReading).toBe(false);
});

test("the view does not wait for a list that the key may not read", async () => {
  scopes = ["view"];
  const { history } = await open();
  expect(history.state.value.isReading).toBe(false);
});
