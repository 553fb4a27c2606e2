import type { Environment } from "@letta-environments/client";
import { signal } from "@preact/signals";
import { beforeEach, expect, test } from "vitest";
import {
  json,
  type PageRequest,
  problem,
  reloadPage,
  respondWith,
  rowOf,
  sessionOf,
  stubPage,
} from "../../test/support/page.ts";
import { messageIdOf } from "../model/conversation.ts";
import type { DeviceConversations } from "./conversations.ts";

let sent: PageRequest[] = [];
let outcome: () => Response = () => problem(504, "delivery_unknown");
/** How long the gateway recognises the id of a message, as it declares. */
let recognisedSeconds = "86400";

beforeEach(() => {
  sent = [];
  recognisedSeconds = "86400";
  outcome = () => problem(504, "delivery_unknown");
  stubPage((request) => {
    if (request.path === "/console/session") {
      const keyId = request.body === "" ? "a" : (JSON.parse(request.body) as { key: string }).key;
      return request.method === "DELETE" ? json(200, {}) : json(200, sessionOf(keyId, ["send"], false));
    }
    if (request.method === "POST") sent.push(request);
    const response = request.method === "POST" ? outcome() : problem(404, "endpoint_not_found");
    response.headers.set("x-message-deduplication", recognisedSeconds);
    return response;
  });
});

/** Opens the view of the device as a signed-in user. */
async function open(): Promise<DeviceConversations> {
  const [{ signIn }, { openConversations }] = await Promise.all([import("./session.ts"), import("./conversations.ts")]);
  await signIn({ key: "a" });
  const conversations = openConversations("device-1");
  conversations.select({ agentId: "agent-1", conversationId: "default" });
  return conversations;
}

/** Text and state of each message in the view, and whether it may be repeated. */
async function shown({ all }: DeviceConversations): Promise<readonly (readonly unknown[])[]> {
  const { openSends } = await import("./sends.ts");
  const entries = [...all.value.values()].flatMap((conversation) => conversation.entries);
  return entries.flatMap((entry) =>
    entry.kind === "sent" ? [[entry.text, entry.status?.state, openSends.value.has(messageIdOf(entry))]] : [],
  );
}

async function toastTexts(): Promise<string> {
  const { toasts } = await import("./toasts.ts");
  return toasts.value.map(({ text }) => text).join(" ");
}

test("a send with an unknown outcome stays visible, clears the message box, and is repeated with the same id and body", async () => {
  const conversations = await open();
  expect(await conversations.send("connection-1", "deploy")).toBe(true);
  expect(await shown(conversations)).toEqual([["deploy", "unknown", true]]);
  expect(await toastTexts()).not.toContain("Nothing was lost");

  const { openSends, repeat } = await import("./sends.ts");
  const { rows } = await import("./environments.ts");
  const [id = ""] = openSends.value.keys();
  outcome = () => json(200, { success: true });
  const again = rowOf("1", { connectionId: "connection-2" }) as unknown as Environment;
  rows.value = new Map([["1", signal(again)]]);
  await repeat(id);
  expect(sent.map(({ path }) => path)).toEqual([
    "/v1/environments/connection-1/messages",
    "/v1/environments/connection-2/messages",
  ]);
  expect(sent[1]?.body).toBe(sent[0]?.body);
  expect(sent[0]?.body).toContain(`"client_message_id":"${id}"`);
  expect(await shown(conversations)).toEqual([["deploy", "accepted", false]]);
});

test("a send without a response has an unknown outcome, and the page does not claim that the message was not sent", async () => {
  const conversations = await open();
  outcome = () => {
    throw new TypeError("Failed to fetch");
  };
  expect(await conversations.send("connection-1", "deploy")).toBe(true);
  expect(await shown(conversations)).toEqual([["deploy", "unknown", true]]);
  expect(await toastTexts()).not.toContain("Nothing was lost");
});

test("a refused send is removed, and its text stays in the message box", async () => {
  const conversations = await open();
  outcome = () => problem(409, "device_offline", "The device is offline.");
  expect(await conversations.send("connection-1", "deploy")).toBe(false);
  expect(await shown(conversations)).toEqual([]);
  expect(await toastTexts()).toBe("The device is offline.");
});

test("a repeat that does not reach the device does not settle the first attempt; a refusal by the device does", async () => {
  const conversations = await open();
  await conversations.send("connection-1", "deploy");
  const { openSends, repeat } = await import("./sends.ts");
  const [id = ""] = openSends.value.keys();
  outcome = () => problem(409, "connection_replaced");
  await repeat(id);
  expect(sent.at(-1)?.path).toBe("/v1/environments/connection-1/messages");
  expect(await shown(conversations)).toEqual([["deploy", "unknown", true]]);
  outcome = () => problem(409, "input_rejected", "Not now.");
  await repeat(id);
  expect(await shown(conversations)).toEqual([["deploy", "failed", false]]);
  expect(await toastTexts()).toContain("Not now.");
});

test("an unknown outcome survives a change of view and a reload, even if the page was closed during the send", async () => {
  const first = await open();
  await first.send("connection-1", "deploy");
  first.close();
  expect(await shown(await open())).toEqual([["deploy", "unknown", true]]);
  reloadPage();
  const conversations = await open();
  expect(await shown(conversations)).toEqual([["deploy", "unknown", true]]);

  const never = new Promise<Response>(() => undefined);
  respondWith((request) => {
    if (request.path === "/console/session") return json(200, sessionOf("a", ["send"], false));
    return never;
  });
  void conversations.send("connection-1", "second");
  reloadPage();
  expect(await shown(await open())).toEqual([
    ["deploy", "unknown", true],
    ["second", "unknown", true],
  ]);
});

test("a send that finishes after the user has left its view is shown in the view that is open then", async () => {
  const first = await open();
  let respond: (response: Response) => void = () => undefined;
  const late = new Promise<Response>((resolve) => (respond = resolve));
  respondWith(() => late);
  const sending = first.send("connection-1", "deploy");
  first.close();
  const { openConversations } = await import("./conversations.ts");
  const second = openConversations("device-1");
  expect(await shown(second)).toEqual([["deploy", undefined, true]]);
  respond(json(200, { success: true }));
  await sending;
  expect(await shown(second)).toEqual([["deploy", "accepted", false]]);
});

test("events about a message take precedence over a missing response", async () => {
  const conversations = await open();
  const { openSends, settle } = await import("./sends.ts");
  const scope = { deviceId: "device-1", agentId: "agent-1", conversationId: "default" };
  for (const [state, isOpen] of [
    ["sent", true],
    ["running", false],
  ] as const) {
    outcome = () => {
      const id = [...openSends.value.keys()].at(-1) ?? "";
      settle({ clientMessageId: id, ...scope, state });
      return problem(504, "delivery_unknown");
    };
    expect(await conversations.send("connection-1", state)).toBe(true);
    expect((await shown(conversations)).at(-1)).toEqual([state, isOpen ? "unknown" : undefined, isOpen]);
  }
});

test("messages of a session end with it, unless the same key signs in again", async () => {
  const first = await open();
  await first.send("connection-1", "deploy");
  const { noteSessionEnd, signIn, signOut } = await import("./session.ts");
  const { openSends } = await import("./sends.ts");
  noteSessionEnd();
  await signIn({ key: "a" });
  expect(openSends.value.size).toBe(1);
  noteSessionEnd();
  await signIn({ key: "b" });
  expect(openSends.value.size).toBe(0);
  await (await open()).send("connection-1", "deploy");
  expect(openSends.value.size).toBe(1);
  await signOut();
  expect(openSends.value.size).toBe(0);
});

test.each([
  ["86400", 21 * 3_600_000, true],
  ["86400", 24 * 3_600_000, false],
  ["60", 50_000, true],
  ["60", 60_000, false],
  ["0", 0, false],
])(
  "a message is not repeated when the gateway may have forgotten its id: it keeps ids for %s seconds, after %i ms",
  async (seconds, afterMs, expected) => {
    recognisedSeconds = seconds;
    const conversations = await open();
    await conversations.send("connection-1", "deploy");
    const { isRepeatable, openSends, repeat } = await import("./sends.ts");
    const [send] = openSends.value.values();
    expect(send && isRepeatable(send, send.sentAt + afterMs)).toBe(expected);
    await repeat(send?.id ?? "");
    expect(sent).toHaveLength(seconds === "0" ? 1 : 2);
  },
);
