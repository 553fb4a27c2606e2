/**
 * The messages of a device, as `listMessages` returns them: a page at a time, the latest first. This is an extension: servers without
 * it return 404 `endpoint_not_found`.
 */
import * as v from "valibot";
import { ListLimitSchema } from "./list-query.ts";
import { messageStates, type MessageStatus, MessageStatusSchema } from "./message-status.ts";
import { reference } from "../base/reference.ts";
import { isMessageCursor } from "../base/rules.ts";
import { wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** One of the states that a list of messages can be limited to. */
export type ListedMessageState = (typeof messageStates)[number];

/** One page of the messages of a device. */
export interface MessageList {
  /** The messages, the latest first. */
  messages: MessageStatus[];
  /** Whether there may be more: list again with `after` set to `cursor`. A page may be shorter than `limit`. */
  hasNextPage: boolean;
  /** The end of this page; `null` when there were no messages to examine. */
  cursor: string | null;
}

/** How many agents a list of messages can be limited to by name. */
export const maxListedAgents = 100;

/** The query of `listMessages` as values. */
export interface ListMessagesQuery {
  /** `cursor` of the previous page. */
  after?: string;
  /** Only messages of this agent, or of any of these agents. */
  agentId?: string | string[];
  /** Only messages of this conversation. An empty one is refused, because it could mean `default` or any. */
  conversationId?: string;
  /** `text`: with the last text of the agent in each turn. Only keys with the scope `view` receive it. */
  include?: "text";
  /** Messages in a page, 1 to 100; 50 by default. */
  limit?: number;
  /** Only messages in one of these states. */
  state?: ListedMessageState[];
}

/** The query of `listMessages` as its schema decodes it: one agent is a list, too. */
export interface DecodedListMessagesQuery extends ListMessagesQuery {
  agentId?: string[];
}

/** The query of `listMessages` as it is written in a URL. */
export interface ListMessagesWireQuery {
  after?: string;
  /** May be given several times. */
  agentId?: string[];
  conversationId?: string;
  include?: "text";
  limit?: string;
  /** May be given several times. */
  state?: ListedMessageState[];
}

/** Decodes the query of `listMessages`. */
export const ListMessagesQuerySchema: WireObjectSchema<DecodedListMessagesQuery, ListMessagesWireQuery> =
  /* @__PURE__ */ wireObject(() => ({
    after: v.exactOptional(v.pipe(v.string(), v.check(isMessageCursor, "must be the cursor of an earlier page"))),
    agentId: v.exactOptional(
      v.pipe(v.array(reference()), v.maxLength(maxListedAgents, `must be given at most ${maxListedAgents} times`)),
    ),
    conversationId: v.exactOptional(reference()),
    include: v.exactOptional(v.picklist(["text"], "must be text")),
    limit: v.exactOptional(ListLimitSchema),
    state: v.exactOptional(v.array(v.picklist(messageStates, `must be one of ${messageStates.join(", ")}`))),
  }));

/** Schema of {@link MessageList}. */
export const MessageListSchema: WireObjectSchema<MessageList> = /* @__PURE__ */ wireObject(() => ({
  messages: v.array(MessageStatusSchema),
  hasNextPage: v.boolean(),
  cursor: v.nullable(v.string()),
}));
