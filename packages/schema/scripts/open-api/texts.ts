/** Texts of the OpenAPI document that the endpoint table does not have: a program needs none of them. */
import type { Operation } from "../../src/index.ts";

/** The texts of one operation. */
export interface OperationText {
  readonly description: string;
  /** Description of the success response. */
  readonly success: string;
}

/** The texts of each operation. The `description` of the endpoint table is added to them. */
export const operationTexts: Readonly<Record<Operation, OperationText>> = {
  listEnvironments: {
    description:
      "Returns a page of the devices that the caller may see, online and offline. For the next page, list again with `after` " +
      "set to the `id` of the last row, while `hasNextPage` is true.",
    success: "A page of environments.",
  },
  retrieveEnvironment: {
    description:
      "Returns one device. If a device has several listeners, this is the online one with the latest heartbeat. " +
      "Its `connectionId` is the address for a message, and `null` while the device is offline.",
    success: "The environment.",
  },
  sendMessage: {
    description:
      "Sends messages to the device behind a connection and waits until the device has accepted them; the turn of the agent that " +
      "follows is not part of the response. A message is run at most once: a repeated `client_message_id` returns the first result. " +
      "`x-should-retry` in an error says whether the request may be repeated. After 504 `delivery_unknown` the message may be running.",
    success: "The device accepted the messages.",
  },
  listMessages: {
    description:
      "Returns a page of the messages that were sent to a device in the last 30 days, whatever its connection was then: each with its " +
      "state, and how its turn ended. Any `connectionId` that the device has had in the last 24 hours names it, and so does its " +
      "`deviceId`, also while it is offline. For the next page, list again with `after` set to `cursor`, while `hasNextPage` is true.",
    success: "A page of messages as they are now.",
  },
  retrieveMessage: {
    description:
      "Returns the state of a message that was sent with this key's tenant in the last 30 days, and how its turn ended. Any " +
      "`connectionId` that its device has had in the last 24 hours names the device. With `wait=finished` the response comes when the " +
      "message has ended or the time is over, and the request may be sent again.",
    success: "The message as it is now.",
  },
  updateEnvironment: {
    description:
      "Assigns a display name and tags to a device; a device cannot change its own. They belong to all its rows and stay when it " +
      "registers again. Tags select devices in a list and in gateway keys.",
    success: "The environment with its new labels.",
  },
  removeEnvironment: {
    description:
      "Removes a device: its rows, its connections, its labels and its owner. With `id` only that row is removed; the device " +
      "stays if it has another.",
    success: "The device, or the row, was removed.",
  },
  retrieveLastRuntime: {
    description:
      "Returns the device, of those that the caller may see, that accepted a message of a conversation last. A device that was " +
      "removed is not found.",
    success: "The device.",
  },
  listApprovals: {
    description:
      "Returns a page of the requests for permission that wait for a decision, on every device that the caller can reach, for agents and in modes that it may use. To decide, send " +
      "an approval message with the `id` of the request to its `connectionId`. The first decision counts; another one is 409 " +
      "`approval_decided`. For the next page, list again with `after` set to `cursor`, while `hasNextPage` is true.",
    success: "A page of requests.",
  },
  streamEvents: {
    description:
      "Streams events as server-sent events (WHATWG HTML, section 9.2), of the types `environment`, `message`, `approval`, `output` and " +
      "`gap`. Every event is stored before it is sent, so `Last-Event-ID` misses nothing and repeats nothing, also after a crash. When " +
      "events in between are no longer kept, the stream begins with `gap`. A comment every 15 seconds keeps the connection open. The " +
      "stream ends when its key ends or changes, and when the client does not read.",
    success: "The stream.",
  },
  registerEnvironment: {
    description:
      "A device calls this when it starts, and again whenever its socket was lost. Each registration gives the device a new " +
      "`connectionId` and ends its previous connection. The device belongs to the key that first enrolled it.",
    success: "The new connection, and the URL of its WebSocket.",
  },
  openDeviceSocket: {
    description:
      "A WebSocket handshake (RFC 6455) with the key that registered the connection. It is refused with an HTTP response, before the " +
      "connection switches protocols. The frames are JSON texts of the device protocol and are not part of this document.",
    success: "The connection switches to WebSocket.",
  },
  openViewerSocket: {
    description:
      "A WebSocket handshake (RFC 6455). The frames are JSON texts of the device protocol and are not part of this document. It is " +
      "refused with an HTTP response, before the connection switches protocols. Web pages need a listed origin and a ticket. An " +
      "extension of this server.",
    success: "The connection switches to WebSocket.",
  },
  createViewerTicket: {
    description:
      "Creates a credential for the WebSocket of a viewer, which browsers cannot open with a header. An extension of this server.",
    success: "The ticket, which opens one socket of this connection.",
  },
  stopTurn: {
    description:
      "Interrupts the running turn of a conversation, and a pending request for permission. Messages that wait in its queue stay there, " +
      "paused, until a new message arrives or `resumeQueue` is called. An extension of this server.",
    success: "What the device reported. `stopped` is `false` when there was nothing to stop.",
  },
  changeMode: {
    description:
      "Changes the permission mode of one conversation and waits until the device reports it. Other conversations of the device keep " +
      "theirs. An extension of this server.",
    success: "The mode that the device reports now.",
  },
  changeDirectory: {
    description:
      "Changes the directory in which a conversation runs its tools, and waits until the device reports it. An extension of this server.",
    success: "The directory that the device reports now.",
  },
  resumeQueue: {
    description:
      "Releases the messages that a stop has paused, so that they start the next turn. An extension of this server.",
    success: "How many messages the device released.",
  },
  removeQueueItem: {
    description:
      "Removes one waiting message, by the id that the device gave it, without stopping the running turn. An extension of this server.",
    success: "Whether the device had the message and removed it.",
  },
};

/** Descriptions and examples of the path parameters. */
export const pathParameters: Readonly<Record<string, { readonly description: string; readonly example: string }>> = {
  deviceId: {
    description: "The `deviceId` of an environment, which stays the same when the device restarts.",
    example: "9b0f8a1e-3c64-4c5e-8d55-3f1f7d1f8f0a",
  },
  connectionId: {
    description: "The `connectionId` of an environment, which is new after each registration of its device.",
    example: "env-conn-2b7e",
  },
  clientMessageId: {
    description: "The `client_message_id` of the message, percent-encoded. It cannot be `.` or `..`.",
    example: "5f0a0e0c-6cf9-4c0e-8f0c-0f6c9f6e3a01",
  },
  agentId: { description: "The agent of a conversation.", example: "agent-local-2f1a" },
  conversationId: { description: "The conversation, such as `default`.", example: "default" },
  itemId: {
    description: "The id that the device gave the waiting message, as its `update_queue` reports show it.",
    example: "q-1",
  },
};

/** Descriptions of the query parameters. */
export const queryParameters: Readonly<Record<string, string>> = {
  tag: "Only devices that have this tag; repeat it for devices that have all of several.",
  id: "The `id` of the only row to remove.",
  agentId: "The agent whose conversation it is. For a socket: only frames of its conversations are sent.",
  conversationId:
    "The conversation; the agent's default conversation when absent. For a message: needed if its id was used in several.",
  deviceId: "Only events of this device.",
  include:
    "Optional parts of the response: `output` in a stream of events for what turns say, `text` in a list of messages for the final " +
    "text of each. The key needs the scope `view`.",
  wait: "With the value `finished`, the response comes when the message has ended.",
  waitSeconds:
    "For how many seconds to wait; 30 by default. The response has the number that was used, which is at most 60.",
  channel: "Clients of the vendor may open two sockets. Both carry the same frames.",
  token:
    "A key, a token or a ticket, for clients that cannot send `Authorization`. URLs end up in logs: prefer the header.",
  after: "The `id` of the last row of the previous page; its `cursor` where a page has one.",
  limit: "The number of rows of a page.",
  state: "Only messages in this state; repeat it for messages in one of several.",
  onlineOnly: "`true`: only devices that can receive messages now.",
  source: "Only environments of this kind. A server of your own returns all for `local` and none for `remote`.",
  userId: "Only environments of this user. Without the scope `details`, rows show no user, and none is listed.",
};

/** The tags of the operations. */
export const tags: readonly { readonly name: string; readonly description: string }[] = [
  { name: "environments", description: "List devices, read one, and send messages to one." },
  { name: "devices", description: "How a device enrols and connects. Only devices call these." },
];
