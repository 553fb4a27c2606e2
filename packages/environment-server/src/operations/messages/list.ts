/**
 * The messages of a device, a page at a time, the latest first. They belong to its row, so they stay when the device registers again. The states
 * are the same as in `retrieveMessage`: a followed state is newer than the stored one, and a message that is not followed is unknown until it
 * ends.
 */
import { sleep } from "@letta-environments/platform";
import {
  allowsAgent,
  allowsDevice,
  defaultListLimit,
  hasEnded,
  jsonResponse,
  type MessageList,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { listedMessagesPerTurn, maxListedLength, maxListedMessages } from "../../limits.ts";
import {
  comparePositions,
  isSelected,
  latestFirst,
  type MessageFilter,
  type MessagePosition,
  type MessageSelection,
  positionOf,
  parseCursor,
  type StoredMessage,
  formatCursor,
  withoutReply,
} from "../../message-log.ts";
import type { EnvironmentRow } from "../../ports.ts";
import type { DeviceCall, DeviceCallContext } from "../../routing/router.ts";
import type { ServerContext } from "../context.ts";
import { unknownUnlessEnded, presentMessage } from "./status.ts";

type ListInput = OperationInput<"listMessages">;

/**
 * Lists the messages of a device in the process that has its socket. The device is named by its connection or by its id, because callers
 * know no connection of an offline device.
 */
export async function routeListMessages(
  server: ServerContext,
  request: Extract<DeviceCall["request"], { readonly operation: "listMessages" }>,
  principal: Principal,
  context: DeviceCallContext,
): Promise<PlainResponse> {
  const { store, router, presentation } = server;
  const { connectionId } = request.params;
  const connection = await store.findConnection(principal.tenant, connectionId);
  if (connection !== null) return router.deliver({ request, principal, context: { ...context, connection } });
  const rows = await store.findEnvironments(principal.tenant, connectionId);
  const row = await presentation.mostRecentlySeen(rows.filter((found) => allowsDevice(principal, found)));
  if (row === undefined) return problemResponse("connection_not_found");
  const [presence = null] = await router.presence([row.id]);
  if (presence === null) return listOfRow(server, row, request, principal);
  const params = { connectionId: presence.connectionId };
  return router.deliver({ request: { ...request, params }, principal, context });
}

/** Lists the messages of the device behind a connection. A device that the principal may not use is 404, as if it did not exist. */
export async function listMessages(
  server: ServerContext,
  input: ListInput,
  principal: Principal,
  { connection }: Pick<DeviceCallContext, "connection">,
): Promise<PlainResponse> {
  const { connectionId } = input.params;
  const record = connection ?? (await server.store.findConnection(principal.tenant, connectionId));
  if (record === null || !allowsDevice(principal, record.environment)) return problemResponse("connection_not_found");
  return listOfRow(server, record.environment, input, principal);
}

async function listOfRow(
  server: ServerContext,
  { id, deviceId }: Pick<EnvironmentRow, "id" | "deviceId">,
  { query }: ListInput,
  principal: Principal,
): Promise<PlainResponse> {
  const { agentId, conversationId = null, limit = defaultListLimit, state: states } = query;
  const after = query.after === undefined ? null : parseCursor(query.after);
  if (query.after !== undefined && after === null) {
    const issues = [{ member: "after", rule: "must be the cursor of an earlier page" }];
    return problemResponse("invalid_request", { issues });
  }
  const withReplies = query.include === "text" && principal.scopes.has("view");
  const agentIds = agentId?.filter((each) => allowsAgent(principal, each)) ?? principal.agentIds;
  const filter = { environmentId: id, agentIds, conversationId, withReplies };
  const isListed = ({ status }: StoredMessage): boolean => states?.some((state) => state === status.state) !== false;
  const page = await readPage(server, { ...filter, after, limit }, isListed);
  return jsonResponse(200, {
    messages: page.messages.map((message) => presentMessage(principal, message, deviceId)),
    hasNextPage: page.hasNextPage,
    cursor: page.end === null ? null : formatCursor(page.end),
  } satisfies MessageList);
}

/** Messages in their order. */
interface Page {
  readonly messages: readonly StoredMessage[];
  readonly hasNextPage: boolean;
  /** The last message that was examined. */
  readonly end: MessagePosition | null;
}

/** Which messages of a row are listed, apart from their state. */
type ListFilter = MessageFilter & MessageSelection;

/** Reads messages until the page is full, in number or in length, or enough were examined. Lets other work run in between. */
async function readPage(
  server: ServerContext,
  filter: ListFilter,
  isListed: (message: StoredMessage) => boolean,
): Promise<Page> {
  const messages: StoredMessage[] = [];
  let { after: end } = filter;
  let length = 0;
  let examinedCount = 0;
  // Without a state to select, every message counts, and one part is enough.
  for (let size = filter.limit; ; size = listedMessagesPerTurn) {
    const limit = Math.min(size, maxListedMessages - examinedCount);
    const part = await readPart(server, { ...filter, after: end, limit });
    for (const message of part.messages) {
      const isFull = messages.length === filter.limit || (length >= maxListedLength && messages.length > 0);
      if (isFull) return { messages, hasNextPage: true, end };
      end = positionOf(message);
      if (!isListed(message)) continue;
      messages.push(message);
      length += message.status.reply?.text.length ?? 0;
    }
    if (part.hasNextPage) ({ end } = part);
    examinedCount += part.messages.length;
    const isEnough = messages.length === filter.limit || examinedCount >= maxListedMessages;
    if (!part.hasNextPage || isEnough) return { messages, hasNextPage: part.hasNextPage, end };
    await sleep(server.clock, 0);
  }
}

/** Reads the next messages in any state, including followed messages of the last second that are not stored yet. */
async function readPart(server: ServerContext, filter: ListFilter): Promise<Page> {
  const { messages } = server;
  const { environmentId, after, limit } = filter;
  // A message that ends while the store is read was followed before.
  const before = messages.followed(environmentId);
  const found = await readStored(server, { ...filter, limit: limit + 1 });
  const followed = new Map(
    [...before, ...messages.followed(environmentId)].map((message) => [keyOf(message), message]),
  );
  const hasNextPage = found.length > limit;
  const stored = found.slice(0, limit);
  const last = stored.at(-1);
  const end = last === undefined ? null : positionOf(last);
  const known = new Set(stored.map(deliveryKeyOf));
  const unsaved = [...followed.values()].filter((message) => {
    const position = positionOf(message);
    const isAfterCursor = after === null || comparePositions(position, after) > 0;
    const isBeforeEnd = !hasNextPage || end === null || comparePositions(position, end) < 0;
    return isAfterCursor && isBeforeEnd && !known.has(deliveryKeyOf(message)) && isSelected(message, filter);
  });
  const current = stored.flatMap((message) => {
    const other = followed.get(keyOf(message));
    if (other === undefined) return [unknownUnlessEnded(message)];
    // A later message with the same id replaces the status when it is stored.
    if (other.deliveryId !== message.deliveryId) return [];
    return [hasEnded(message.status) ? message : other];
  });
  const all = unsaved.length === 0 ? current : latestFirst([...current, ...unsaved]);
  return { messages: filter.withReplies ? all : all.map(withoutReply), hasNextPage, end };
}

/**
 * Reads the next stored messages of the selected conversations, however many others are between them, and lets other work run in between. It does not
 * stop early, because its cursor would name a message of an agent that the key may not use.
 */
async function readStored({ store, clock }: ServerContext, filter: ListFilter): Promise<readonly StoredMessage[]> {
  const found: StoredMessage[] = [];
  const { environmentId, withReplies } = filter;
  let { after, limit } = filter;
  for (;;) {
    const part = await store.listMessages({ environmentId, after, withReplies, limit });
    found.push(...part.filter((message) => isSelected(message, filter)));
    const last = part.at(-1);
    if (last === undefined || part.length < limit || found.length >= filter.limit) return found.slice(0, filter.limit);
    after = positionOf(last);
    limit = listedMessagesPerTurn;
    await sleep(clock, 0);
  }
}

function keyOf({ scope, messageId }: StoredMessage): string {
  return JSON.stringify([scope.agentId, scope.conversationId, messageId]);
}

function deliveryKeyOf(message: StoredMessage): string {
  return `${message.deliveryId} ${keyOf(message)}`;
}
