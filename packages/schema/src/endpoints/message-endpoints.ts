/** The endpoints for the status of messages, as members of the endpoint table. */
import type { Endpoint } from "./endpoint.ts";
import {
  type DecodedListMessagesQuery,
  ListMessagesQuerySchema,
  type MessageList,
  MessageListSchema,
} from "../schemas/message-list.ts";
import {
  type MessageStatus,
  MessageStatusSchema,
  type RetrieveMessageQuery,
  RetrieveMessageQuerySchema,
} from "../schemas/message-status.ts";

/** Lists the messages of a device. */
export const listMessages: Endpoint<DecodedListMessagesQuery, never, MessageList, "connectionId"> = {
  operation: "listMessages",
  method: "GET",
  path: "/v1/environments/{connectionId}/messages",
  audience: "caller",
  scope: "read",
  params: ["connectionId"],
  extension: true,
  query: ListMessagesQuerySchema,
  body: null,
  response: MessageListSchema,
  successStatus: 200,
  problems: ["invalid_request", "invalid_id", "connection_not_found", "storage_unavailable"],
};

/** Retrieves the status of one message. */
export const retrieveMessage: Endpoint<RetrieveMessageQuery, never, MessageStatus, "connectionId" | "clientMessageId"> =
  {
    operation: "retrieveMessage",
    method: "GET",
    path: "/v1/environments/{connectionId}/messages/{clientMessageId}",
    audience: "caller",
    scope: "read",
    params: ["connectionId", "clientMessageId"],
    references: ["clientMessageId"],
    extension: true,
    query: RetrieveMessageQuerySchema,
    body: null,
    response: MessageStatusSchema,
    successStatus: 200,
    problems: ["invalid_request", "invalid_id", "message_not_found", "message_ambiguous", "storage_unavailable"],
  };
