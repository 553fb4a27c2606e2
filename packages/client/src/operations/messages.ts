/** Lists the messages that were sent to a device: one page, or message by message over all pages. */
import type { ListMessagesQuery, MessageList, MessageStatus } from "@letta-environments/schema";
import { findMessageListMismatch } from "@letta-environments/schema/guards";
import { abortable } from "../abortable.ts";
import { check, checkRecord } from "../check.ts";
import { environmentPath } from "../encode.ts";
import type { RequestOptions } from "../options.ts";
import { encodeQuery } from "../query.ts";
import { type InputOf, type PendingCall, pendingCall, type TransportResponse } from "../request.ts";
import { checkNext } from "../response.ts";
import type { Transport } from "../transport.ts";
import { sendExtension } from "./extension.ts";

/** Which messages to list. */
export type ListMessagesInput = InputOf<ListMessagesQuery>;

/**
 * Lists one page of the messages of a device, the latest first, each with its state and how its turn ended. While `hasNextPage` is true, the next
 * page is the one with `after` set to `cursor`; a page may be short or empty before the last one. Rejects with a `LettaEnvironmentsError`.
 *
 * @param id a `connectionId` that the device has or had in the last 24 hours, or its `deviceId`, even while it is offline
 */
export function listMessages(
  transport: Transport,
  id: string,
  query?: ListMessagesInput | null,
  options?: RequestOptions,
): PendingCall<MessageList> {
  return pendingCall(async () => requestPage(transport, id, query, options));
}

/** Lists the messages of a device over all pages; see {@link listMessages}. Throws a `LettaEnvironmentsError`. */
export function listAllMessages(
  transport: Transport,
  id: string,
  query?: ListMessagesInput | null,
  options: RequestOptions = {},
): AsyncGenerator<MessageStatus, void, undefined> {
  return abortable(options, async function* (ended) {
    // Checked before it is spread, which would turn a string into members.
    checkRecord("query", query ?? {});
    const seen = new Set<string | undefined>();
    let after = query?.after;
    for (;;) {
      seen.add(after);
      const { data } = await requestPage(transport, id, { ...query, after }, ended);
      for (const message of data.messages) yield message;
      // A server whose pages lead back to an earlier one would keep the iteration running forever.
      if (!data.hasNextPage || !data.cursor || seen.has(data.cursor)) return;
      after = data.cursor;
    }
  });
}

async function requestPage(
  transport: Transport,
  id: string,
  query: ListMessagesInput | null | undefined,
  options?: RequestOptions,
): Promise<TransportResponse<MessageList>> {
  checkRecord("query", query ?? {});
  const { after, state, ...rest } = query ?? {};
  // Without a parameter, the server would list the messages of all agents and in all states.
  check("agentId", [rest.agentId].flat().length > 0, "must not be an empty list");
  check("state", state === undefined || (Array.isArray(state) && state.length > 0), "must be a non-empty list");
  const wire = new URLSearchParams(encodeQuery(rest));
  // A cursor of messages is longer than an id. The server checks it, and the states.
  if (after) wire.append("after", after);
  for (const each of state ?? []) wire.append("state", each);
  const page = await sendExtension<MessageList>(
    transport,
    {
      operation: "listMessages",
      path: `${environmentPath("connectionId", id)}/messages?${wire}`,
      safety: "read",
      findMismatch: findMessageListMismatch,
      needed: { messages: [{ clientMessageId: "", state: "" }], hasNextPage: true },
    },
    options,
  );
  checkNext(page.data.hasNextPage, "cursor", page.data.cursor, page);
  return page;
}
