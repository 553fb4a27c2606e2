/**
 * The socket of a viewer: a person or a program that watches a device and controls it over the device protocol, as the vendor's
 * clients do. A browser cannot send a header with a WebSocket, so it opens one with a ticket.
 */
import * as v from "valibot";
import { conversationReference, reference } from "../base/reference.ts";
import { wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** The query of `openViewerSocket`. */
export interface OpenViewerSocketQuery {
  /** Shows only conversations of this agent. */
  agentId?: string;
  /** Shows only this conversation. */
  conversationId?: string;
  /** The vendor's clients may open two sockets. Both carry the same frames. */
  channel?: "control" | "stream";
  /** A gateway key or a ticket, for clients that cannot send the `Authorization` header. */
  token?: string;
}

/** The response to `createViewerTicket`. */
export interface ViewerTicket {
  /** When the ticket expires, in epoch milliseconds. */
  expiresAt: number;
  /** Opens one socket of this connection, as `token` in its query. */
  ticket: string;
}

/** The prefix of tickets, before a hyphen. No gateway key and no JWT begins like this. */
export const ticketPrefix = "ticket";

/** Schema of {@link OpenViewerSocketQuery}. */
export const OpenViewerSocketQuerySchema: WireObjectSchema<OpenViewerSocketQuery> = /* @__PURE__ */ wireObject(() => ({
  agentId: v.exactOptional(reference()),
  conversationId: v.exactOptional(conversationReference()),
  channel: v.exactOptional(v.picklist(["control", "stream"], "must be control or stream")),
  token: v.exactOptional(v.string()),
}));

/** Schema of {@link ViewerTicket}. */
export const ViewerTicketSchema: WireObjectSchema<ViewerTicket> = /* @__PURE__ */ wireObject(() => ({
  expiresAt: v.number(),
  ticket: v.string(),
}));
