/** Texts of the OpenAPI document. The endpoint table has none, because no program needs them. */
import type { Operation } from "../../src/index.ts";

/** The texts of one operation. */
export interface OperationText {
  /** A sentence, as the title of the operation. */
  readonly summary: string;
  readonly description: string;
  /** Description of the success response. */
  readonly success: string;
}

/** The texts of each operation. */
export const operationTexts: Readonly<Record<Operation, OperationText>> = {
  listEnvironments: {
    summary: "List environments, ordered by id.",
    description:
      "Returns a page of the devices that the caller may see, online and offline. For the next page, list again with `after` " +
      "set to the `id` of the last row, while `hasNextPage` is true.",
    success: "A page of environments.",
  },
  retrieveEnvironment: {
    summary: "Retrieve one environment by its deviceId.",
    description:
      "Returns one device. If a device has several listeners, this is the online one with the latest heartbeat. " +
      "Its `connectionId` is the address for a message, and `null` while the device is offline.",
    success: "The environment.",
  },
  sendMessage: {
    summary: "Send a message to the device behind a connection.",
    description:
      "Sends messages to the device behind a connection and waits until the device has accepted them; the turn of the agent that " +
      "follows is not part of the response. A message is run at most once: a repeated `client_message_id` returns the first result. " +
      "`x-should-retry` in an error says whether the request may be repeated. After 504 `delivery_unknown` the message may be running.\n\n" +
      "A body with approvals also requires the scope `approve`. The environment server delivers approval decisions " +
      "(`approve`) to the device. It refuses tool results (`tool_return`) with 422 `approvals_unsupported`.",
    success: "The device accepted the messages.",
  },
  listMessages: {
    summary: "List the messages of a device, the latest first.",
    description:
      "Returns a page of the messages that were sent to a device in the last 30 days, whatever its connection was then: each with its " +
      "state, and how its turn ended. Any `connectionId` that the device has had in the last 24 hours names it, and so does its " +
      "`deviceId`, also while it is offline. For the next page, list again with `after` set to `cursor`, while `hasNextPage` is true.\n\n" +
      "An extension of the vendor's API. A key that is limited to agents sees the messages of these agents. The final texts of the agent " +
      "require `include=text` and the scope `view`.",
    success: "A page of messages as they are now.",
  },
  retrieveMessage: {
    summary: "Retrieve the status of a message.",
    description:
      "Returns the state of a message that was sent with this key's tenant in the last 30 days, and how its turn ended. Any " +
      "`connectionId` that its device has had in the last 24 hours names the device. With `wait=finished` the response comes when the " +
      "message has ended or the time is over, and the request may be sent again.\n\n" +
      "An extension of the vendor's API. The final text of the agent requires the scope `view`. In front of a remote server, " +
      "the state is what the gateway knows of the send: at most `accepted`.",
    success: "The message as it is now.",
  },
  updateEnvironment: {
    summary: "Change the display name and the tags of a device.",
    description:
      "Assigns a display name and tags to a device; a device cannot change its own. They belong to all its rows and stay when it " +
      "registers again. Tags select devices in a list and in gateway keys.",
    success: "The environment with its new labels.",
  },
  removeEnvironment: {
    summary: "Remove a device with all its rows, or one of them.",
    description:
      "Removes a device: its rows, its connections, its labels and its owner. With `id` only that row is removed; the device " +
      "stays if it has another.\n\n" +
      "The key that owns the device needs the scope `connect` only. The sockets of what is removed are closed. A device whose key " +
      "is still valid registers again at once, as a new device.",
    success: "The device, or the row, was removed.",
  },
  retrieveLastRuntime: {
    summary: "Retrieve the device that ran a conversation last.",
    description:
      "Returns the device, of those that the caller may see, that accepted a message of a conversation last. A device that was " +
      "removed is not found.",
    success: "The device.",
  },
  listApprovals: {
    summary: "List the requests for permission that wait for a decision, the oldest first.",
    description:
      "Returns a page of the requests for permission that wait for a decision, on every device that the caller can reach, for agents and in modes that it may use. To decide, send " +
      "an approval message with the `id` of the request to its `connectionId`. The first decision counts; another one is 409 " +
      "`approval_decided`. For the next page, list again with `after` set to `cursor`, while `hasNextPage` is true.",
    success: "A page of requests.",
  },
  streamEvents: {
    summary: "Stream what happens to environments and messages.",
    description:
      "Streams events as server-sent events (WHATWG HTML, section 9.2). The data of each is one JSON object, by the type of the event:\n\n" +
      "- `environment`: an `EnvironmentEvent`, with what has changed of an environment. Requires the scope `list` or `read`.\n" +
      "- `message`: a `MessageEvent`, with the status of a message. Requires `read`.\n" +
      "- `approval`: an `ApprovalEvent`, with a request for permission. Requires `approve`, and a key without a maximum mode.\n" +
      "- `output`: an `OutputEvent`, with the next piece of what a turn says. Requires `view`, and `include=output`.\n" +
      "- `gap`: a `GapEvent`. Events are missing here.\n\n" +
      "Every event is stored before it is sent, so `Last-Event-ID` misses nothing and repeats nothing, also after a crash. When " +
      "events in between are no longer kept, the stream begins with `gap`. A comment every 15 seconds keeps the connection open. The " +
      "stream ends when its key ends or changes, and when the client does not read.\n\n" +
      "An extension of the vendor's API: server-sent events. Each event reaches only keys that may read the same. `Last-Event-ID` " +
      "continues after an event. A server in front of another one does not have this endpoint.",
    success: "The stream.",
  },
  registerEnvironment: {
    summary: "Enrol a device. The response has the URL of its WebSocket.",
    description:
      "A device calls this when it starts, and again whenever its socket was lost. Each registration gives the device a new " +
      "`connectionId` and ends its previous connection. The device belongs to the key that first enrolled it.",
    success: "The new connection, and the URL of its WebSocket.",
  },
  openDeviceSocket: {
    summary: "Open the WebSocket of a device.",
    description:
      "A WebSocket handshake (RFC 6455) with the key that registered the connection. It is refused with an HTTP response, before the " +
      "connection switches protocols. The frames are JSON texts of the device protocol, which the package `@letta-ai/letta-code` speaks. They are " +
      "not part of this document.",
    success: "The connection switches to WebSocket.",
  },
  openViewerSocket: {
    summary: "Watch and control a device over a WebSocket.",
    description:
      "A WebSocket handshake (RFC 6455). The frames are JSON texts of the device protocol and are not part of this document: " +
      "`AppServerClient` of `@letta-ai/letta-code/app-server-client` speaks it, and `docs/viewer-socket.md` of this project describes the frames. It is " +
      "refused with an HTTP response, before the connection switches protocols. Web pages need a listed origin and a ticket. An " +
      "extension of this server.\n\n" +
      "Speaks the protocol of the vendor's clients. Each frame needs a scope of its own. A client that cannot send " +
      "the `Authorization` header puts its key, or a ticket, into `token`.",
    success: "The connection switches to WebSocket.",
  },
  createViewerTicket: {
    summary: "Create a single-use ticket for the socket of a viewer.",
    description:
      "Creates a credential for the WebSocket of a viewer, which browsers cannot open with a header. An extension of this server.\n\n" +
      "For web pages: the ticket opens one socket within 60 seconds, as `token` in its query.",
    success: "The ticket, which opens one socket of this connection.",
  },
  stopTurn: {
    summary: "Stop the turn of a conversation.",
    description:
      "Interrupts the running turn of a conversation, and a pending request for permission. Messages that wait in its queue stay there, " +
      "paused, until a new message arrives or `resumeQueue` is called. An extension of this server.",
    success: "What the device reported. `stopped` is `false` when there was nothing to stop.",
  },
  changeMode: {
    summary: "Change the permission mode of a conversation.",
    description:
      "Changes the permission mode of one conversation and waits until the device reports it. Other conversations of the device keep " +
      "theirs. An extension of this server.\n\n" +
      "A key with a maximum mode may not set a more permissive one: 403 `mode_not_allowed`.",
    success: "The mode that the device reports now.",
  },
  changeDirectory: {
    summary: "Change the working directory of a conversation.",
    description:
      "Changes the directory in which a conversation runs its tools, and waits until the device reports it. An extension of this server.",
    success: "The directory that the device reports now.",
  },
  resumeQueue: {
    summary: "Resume the queue of a conversation after a stop.",
    description:
      "Releases the messages that a stop has paused, so that they start the next turn. An extension of this server.",
    success: "How many messages the device released.",
  },
  removeQueueItem: {
    summary: "Remove a waiting message from the queue of a conversation.",
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
    "Optional parts of the response, for keys with the scope `view`: `output` in a stream of events for what turns say (403 without the " +
    "scope), `text` in a list of messages for the final text of each (absent without the scope).",
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
