/** Responses of the embedded server about messages after their sends. */
import type { RecordedGateway } from "../gateway.ts";
import type { RecordedRequest, Topic } from "../topic.ts";
import { messageBody, send } from "./shared.ts";

const first = "env-conn-0001";
const laptop = { deviceId: "laptop", connectionName: "laptop", metadata: { lettaCodeVersion: "0.32.18" } };
const acknowledges =
  (acknowledgement: Readonly<Record<string, unknown>> | null) =>
  ({ device }: RecordedGateway) => {
    device.acknowledgement = acknowledgement;
  };
const accepts = acknowledges({ accepted: true, disposition: "started" });

const runtime = { agent_id: "agent-1", conversation_id: "default" };
const reports =
  (...frames: readonly Readonly<Record<string, unknown>>[]) =>
  ({ device }: RecordedGateway) => {
    for (const frame of frames) device.send({ runtime, ...frame });
  };
const turn = [
  { type: "update_loop_status", loop_status: { status: "PROCESSING_API_RESPONSE", active_run_ids: [] } },
  { type: "stream_delta", delta: { message_type: "assistant_message", id: "a-1", content: "done" } },
  { type: "turn_finished", turn_id: "turn-1", stop_reason: "end_turn", usage: { total_tokens: 9 } },
];

function status(title: string, as: string, id: string, more: Partial<RecordedRequest> = {}): RecordedRequest {
  return { title, as, path: `/v1/environments/${first}/messages/${id}`, ...more };
}

const statuses: readonly RecordedRequest[] = [
  { title: "a message that starts a turn", as: "viewer", ...send(first, messageBody("s-1")), before: accepts },
  status("the status of a message that the device has accepted", "viewer", "s-1"),
  status("the status of a message that runs", "viewer", "s-1", { before: reports(...turn.slice(0, 1)) }),
  status("the status of a message that has finished", "viewer", "s-1", { before: reports(...turn.slice(1)) }),
  status("the status without the scope for content", "read only", "s-1"),
  status("the status of a finished message, waited for", "viewer", "s-1", { query: "wait=finished" }),
  {
    title: "a message that is refused",
    as: "viewer",
    ...send(first, messageBody("m-3")),
    before: acknowledges({ accepted: false, error: "busy" }),
  },
  status("the status of a message that was refused", "viewer", "m-3"),
  {
    title: "a message that is not acknowledged",
    as: "viewer",
    ...send(first, messageBody("m-4")),
    whileWaitingMs: 10_000,
    before: acknowledges(null),
  },
  status("the status of a message that was not acknowledged", "viewer", "m-4", {
    query: "wait=finished&waitSeconds=90",
    whileWaitingMs: 60_000,
  }),
  status("the status of an unknown message", "viewer", "s-9"),
  status("the status of a message to an unknown connection", "viewer", "s-1", {
    path: "/v1/environments/conn-9999/messages/s-1",
  }),
  status("the status of a message of another agent", "one agent", "s-1"),
  status("the status of a message of another tenant", "another tenant", "s-1"),
  status("the status of a long id", "viewer", "x".repeat(257)),
  status("the status of a malformed id", "viewer", "%ff"),
  status("the status of an encoded dot segment", "viewer", "%2e%2e"),
  status("the status of an id with a slash", "viewer", "a%2Fb"),
  status("the status with a wait for something else", "viewer", "s-1", { query: "wait=started" }),
  status("the status without the scope", "send only", "s-1"),
  {
    title: "a send to another conversation",
    as: "viewer",
    ...send(first, messageBody("s-1", { conversationId: "c-2" })),
    before: accepts,
  },
  status("the status of an ambiguous message", "viewer", "s-1"),
  status("the status of a message of one conversation", "viewer", "s-1", {
    query: "agentId=agent-1&conversationId=c-2",
  }),
  {
    title: "a send that waits for its turn",
    as: "viewer",
    ...send(first, messageBody("s-2")),
    headers: { prefer: "wait=5" },
    whileWaitingMs: 5_000,
  },
];

function list(title: string, as: string, query = "", id = first): RecordedRequest {
  return { title, as, path: `/v1/environments/${id}/messages`, query };
}

const lists: readonly RecordedRequest[] = [
  list("the messages of the laptop", "viewer", "limit=2"),
  list("the next messages of the laptop", "viewer", "limit=100&include=text&state=finished&state=failed"),
  list("the messages of the laptop by its deviceId", "viewer", "limit=1&conversationId=c-2", "laptop"),
  list("messages without the scope for content", "read only", "include=text&state=finished"),
  list("messages of an unknown connection", "viewer", "", "conn-9999"),
  list("messages of another agent", "one agent"),
  list("messages of another tenant", "another tenant"),
  list("messages in an unknown state", "viewer", "state=done"),
  list("messages behind what is no cursor", "viewer", "after=laptop"),
  list("messages without the scope", "send only"),
];

/** The recorded topic. */
export const messageStatus: Topic = {
  name: "message-status",
  gateway: { upstream: "embedded" },
  keys: {
    viewer: { scopes: ["read", "send", "view"] },
    "read only": { scopes: ["read"] },
    "send only": { scopes: ["send"] },
    "one agent": { scopes: ["read", "view"], agentIds: ["agent-2"] },
    "another tenant": { tenant: "other", scopes: ["read", "view"] },
    device: { scopes: ["connect"] },
  },
  requests: [
    { title: "register the laptop", as: "device", method: "POST", path: "/v1/environments/register", body: laptop },
    { title: "open the socket", as: "device", via: "upgrade", path: `/v1/environments/${first}/socket` },
    ...statuses,
    ...lists,
  ],
};
