import type { RecordedGateway } from "../gateway.ts";
import type { RecordedRequest, Topic } from "../topic.ts";
import { approvalBody, keysOfEveryKind, messageBody, send } from "./shared.ts";

const laptop = {
  deviceId: "laptop",
  connectionName: "laptop of somebody",
  metadata: { os: "linux", environmentMessageProtocol: "v2-input" },
};

function register(title: string, as: string, body: unknown, more: Partial<RecordedRequest> = {}): RecordedRequest {
  return { title, as, method: "POST", path: "/v1/environments/register", body, ...more };
}

function upgrade(
  title: string,
  as: string,
  connectionId: string,
  more: Partial<RecordedRequest> = {},
): RecordedRequest {
  return { title, as, via: "upgrade", path: `/v1/environments/${connectionId}/socket`, ...more };
}

const mode =
  (current: string) =>
  ({ device }: RecordedGateway) => {
    const runtime = { agent_id: "agent-1", conversation_id: "default" };
    device.send({ type: "update_device_status", runtime, device_status: { current_permission_mode: current } });
  };
const acknowledges =
  (acknowledgement: Readonly<Record<string, unknown>> | null) =>
  ({ device }: RecordedGateway) => {
    device.acknowledgement = acknowledgement;
  };
/** Asks for the permission that the approvals below give. */
const asks = ({ device }: RecordedGateway): void => {
  device.send({
    type: "control_request",
    request_id: "perm-call-1",
    request: { subtype: "can_use_tool", tool_name: "Bash", tool_call_id: "call-1", input: { command: "ls" } },
    runtime: { agent_id: "agent-1", conversation_id: "default" },
  });
};
const accepts = acknowledges({ accepted: true, disposition: "started" });

/** Closes the device's socket, and waits until that is stored. */
const leaves = async ({ device, clock }: RecordedGateway): Promise<void> => {
  device.close();
  await clock.advance(0);
};

const registrations: readonly (readonly [title: string, body: unknown])[] = [
  ["no members", {}],
  ["a malformed device id", { ...laptop, deviceId: "a/b" }],
  ["an empty name", { ...laptop, connectionName: "" }],
  ["a long name", { ...laptop, connectionName: "x".repeat(300) }],
  ["a name with a control character", { ...laptop, connectionName: "a\u0007" }],
  ["a text as metadata", { ...laptop, metadata: "x" }],
  ["broken JSON", "{"],
  ["an array", []],
];

const first = "env-conn-0001";
const stop = (connectionId: string) => ({
  method: "POST",
  path: `/v1/environments/${connectionId}/stop`,
  body: { agentId: "agent-1" },
});
const sends: readonly RecordedRequest[] = [
  { title: "a stop without its scope", as: "everything", ...stop(first) },
  { title: "a stop with GET", as: "everything", ...stop(first), method: "GET", body: undefined },
  { title: "a send that is accepted", as: "everything", ...send(first, messageBody("m-1")), before: accepts },
  { title: "the same send again", as: "everything", ...send(first, messageBody("m-1")) },
  {
    title: "the same id with another body",
    as: "everything",
    ...send(first, messageBody("m-1", {}, { content: "other" })),
  },
  {
    title: "the same id for another agent",
    as: "everything",
    ...send(first, messageBody("m-1", { agentId: "agent-2" })),
  },
  {
    title: "a send that is queued",
    as: "everything",
    ...send(first, messageBody("m-2")),
    before: acknowledges({ accepted: true, disposition: "queued" }),
  },
  {
    title: "a send that is refused",
    as: "everything",
    ...send(first, messageBody("m-3")),
    before: acknowledges({ accepted: false, error: "busy" }),
  },
  { title: "a refused send again", as: "everything", ...send(first, messageBody("m-3")), before: accepts },
  {
    title: "a send that is not acknowledged",
    as: "everything",
    ...send(first, messageBody("m-4")),
    whileWaitingMs: 10_000,
    before: acknowledges(null),
  },
  {
    title: "an unacknowledged send again",
    as: "everything",
    ...send(first, messageBody("m-4")),
    whileWaitingMs: 10_000,
  },
  {
    title: "a caller who disconnects",
    as: "everything",
    ...send(first, messageBody("m-5")),
    isAbandoned: true,
    whileWaitingMs: 10_000,
  },
  {
    title: "two messages",
    as: "everything",
    ...send(first, {
      agentId: "agent-1",
      messages: [6, 7].map((id) => ({ role: "user", content: "x", client_message_id: `m-${id}` })),
    }),
    before: accepts,
  },
  {
    title: "a mix of a known and a new id",
    as: "everything",
    ...send(first, {
      agentId: "agent-1",
      messages: [1, 8].map((id) => ({ role: "user", content: "hello", client_message_id: `m-${id}` })),
    }),
  },
  { title: "a conversation", as: "everything", ...send(first, messageBody("m-9", { conversationId: "conv-1" })) },
  { title: "a send without an agent", as: "everything", ...send(first, messageBody("m-10", { agentId: undefined })) },
  { title: "an approval without a request", as: "everything", ...send(first, approvalBody()) },
  { title: "no request for permission", as: "everything", path: "/v1/environments/approvals" },
  { title: "a request for permission", as: "everything", path: "/v1/environments/approvals", before: asks },
  { title: "a page of requests", as: "everything", path: "/v1/environments/approvals", query: "limit=1&after=1.0" },
  { title: "requests without the scope", as: "standard mode", path: "/v1/environments/approvals" },
  { title: "a device with a request for permission", as: "everything", path: "/v1/environments/laptop" },
  { title: "an approval", as: "everything", ...send(first, approvalBody()) },
  { title: "a denial", as: "everything", ...send(first, approvalBody({ approve: false, reason: "no" })) },
  {
    title: "a tool return",
    as: "everything",
    ...send(first, {
      messages: [
        { type: "approval", approvals: [{ type: "tool", tool_call_id: "c", status: "success", tool_return: "x" }] },
      ],
    }),
  },
  { title: "an unknown connection", as: "everything", ...send("conn-9999", messageBody("m-11")) },
  { title: "unknown members", as: "everything", ...send(first, messageBody("m-12", { future: 1 })) },
  {
    title: "a mode under the ceiling",
    as: "standard mode",
    ...send(first, messageBody("m-13")),
    before: mode("standard"),
  },
  {
    title: "a mode over the ceiling",
    as: "standard mode",
    ...send(first, messageBody("m-14")),
    before: mode("unrestricted"),
  },
  {
    title: "an unknown mode under a ceiling",
    as: "unrestricted mode",
    ...send(first, messageBody("m-15")),
    before: mode("newer"),
  },
];

const laptopPath = "/v1/environments/laptop";
const label = (title: string, as: string, body: unknown, path = laptopPath): RecordedRequest => ({
  title,
  as,
  method: "PATCH",
  path,
  body,
});
const remove = (title: string, as: string, more: Partial<RecordedRequest> = {}): RecordedRequest => ({
  title,
  as,
  method: "DELETE",
  path: laptopPath,
  ...more,
});
const lastPath = (conversationId: string): string => `/v1/environments/runtimes/agent-1/${conversationId}/last`;
const management: readonly RecordedRequest[] = [
  { title: "where a conversation ran last", as: "everything", path: lastPath("default") },
  { title: "where an unknown conversation ran last", as: "everything", path: lastPath("nothing") },
  { title: "where a conversation ran last, without the scope", as: "list only", path: lastPath("default") },
  label("label the laptop", "manager", { displayName: "Büro 1", tags: ["linux", "ci"] }),
  label("label the laptop without a change", "manager", {}),
  label("label the laptop with a malformed tag", "manager", { tags: ["a b"] }),
  label("label the laptop with a long name", "manager", { displayName: "x".repeat(129) }),
  label("label the laptop without the scope", "device", { tags: [] }),
  label("label an unknown device", "manager", { tags: [] }, "/v1/environments/nothing"),
  { title: "the devices with a tag", as: "everything", query: "tag=ci" },
  { title: "the devices with two tags", as: "everything", query: "tag=ci&tag=gpu" },
  { title: "the devices with a malformed tag", as: "everything", query: "tag=a%20b" },
  remove("remove the laptop as another device", "another device"),
  remove("remove the laptop without the scope", "list only"),
  remove("remove an unknown row of the laptop", "manager", { query: "id=env-9999" }),
  remove("remove a malformed row of the laptop", "manager", { query: "id=a%2fb" }),
  remove("remove the laptop as its own key", "device"),
  remove("remove the laptop again", "device"),
  { title: "where a conversation of a removed device ran last", as: "everything", path: lastPath("default") },
];

function useOf(key: string): readonly RecordedRequest[] {
  return [
    { title: `${key}: list`, as: key },
    { title: `${key}: the laptop`, as: key, path: "/v1/environments/laptop" },
    { title: `${key}: send to the laptop`, as: key, ...send(first, messageBody(`by ${key}`)) },
    register(`${key}: register`, key, { deviceId: `device-of-${key.replaceAll(" ", "-")}`, connectionName: key }),
    upgrade(`${key}: open the laptop's socket`, key, first),
  ];
}

export const embedded: Topic = {
  name: "embedded",
  gateway: { upstream: "embedded" },
  keys: {
    ...keysOfEveryKind,
    device: { scopes: ["connect"] },
    "another device": { scopes: ["connect"] },
    manager: { scopes: ["admin"] },
  },
  requests: [
    { title: "an empty list", as: "everything" },
    { title: "an unknown device", as: "everything", path: "/v1/environments/laptop" },
    register("register the laptop", "device", laptop),
    ...registrations.map(([title, body]) => register(`register with ${title}`, "device", body)),
    register(
      "register at the doubled slash of old devices",
      "device",
      { ...laptop, deviceId: "second" },
      { path: "//v1/environments/register" },
    ),
    register("register another key's device", "another device", laptop),
    { title: "a device that has registered", as: "everything", path: "/v1/environments/laptop" },
    { title: "a send before the socket is open", as: "everything", ...send(first, messageBody("m-0")) },
    upgrade("open a socket of another key", "another device", first),
    upgrade("open a socket without a key", "", first),
    upgrade("open a socket without the scope", "list only", first),
    upgrade("open an unknown socket", "device", "conn-9999"),
    upgrade("open a malformed socket", "device", "a%2fb"),
    upgrade("open a socket at the list", "device", "", { path: "/v1/environments" }),
    upgrade("open a socket at health", "device", "", { path: "/livez" }),
    { title: "the socket without an upgrade", as: "device", path: `/v1/environments/${first}/socket` },
    upgrade("open the socket", "device", first),
    { title: "a device that is online", as: "everything", path: "/v1/environments/laptop" },
    { title: "the online devices", as: "everything", query: "onlineOnly=true" },
    { title: "the local devices", as: "everything", query: "source=local" },
    { title: "the remote devices", as: "everything", query: "source=remote" },
    { title: "the devices of an unknown user", as: "everything", query: "userId=nobody" },
    { title: "a page of one", as: "everything", query: "limit=1" },
    { title: "the list without details", as: "without details" },
    ...sends,
    ...Object.keys(keysOfEveryKind).flatMap((key) => useOf(key)),
    {
      title: "a conversation whose agent the device does not report",
      as: "one agent",
      ...send(first, messageBody("m-16", { agentId: "agent-2", conversationId: "conv-2" })),
      whileWaitingMs: 10_000,
    },
    {
      title: "a conversation whose mode the device does not report",
      as: "standard mode",
      ...send(first, messageBody("m-17", { conversationId: "conv-2" })),
      whileWaitingMs: 10_000,
    },
    {
      title: "an offline device",
      as: "everything",
      path: "/v1/environments/laptop",
      before: leaves,
    },
    { title: "a send to an offline device", as: "everything", ...send(first, messageBody("m-20")) },
    { title: "a repeat to an offline device", as: "everything", ...send(first, messageBody("m-1")) },
    register("register the laptop again", "device", laptop),
    { title: "a send to the replaced connection", as: "everything", ...send(first, messageBody("m-21")) },
    upgrade("open the replaced socket", "device", first),
    ...management,
  ],
};
