/** The endpoints of viewers, as members of the endpoint table. */
import type { Endpoint } from "./endpoint.ts";
import {
  type OpenViewerSocketQuery,
  OpenViewerSocketQuerySchema,
  type ViewerTicket,
  ViewerTicketSchema,
} from "../schemas/viewer.ts";

/** The WebSocket of a viewer. */
export const openViewerSocket: Endpoint<OpenViewerSocketQuery, never, never, "connectionId"> = {
  operation: "openViewerSocket",
  method: "GET",
  path: "/v1/environments/{connectionId}/status/ws",
  audience: "caller",
  extension: true,
  scope: "view",
  params: ["connectionId"],
  query: OpenViewerSocketQuerySchema,
  body: null,
  response: null,
  successStatus: 101,
  problems: [
    "invalid_request",
    "invalid_id",
    "connection_not_found",
    "device_offline",
    "connection_replaced",
    "agent_not_allowed",
    "origin_not_allowed",
    "too_many_viewers",
    "storage_unavailable",
    "upgrade_required",
  ],
};

/** Tickets for that WebSocket. */
export const createViewerTicket: Endpoint<never, never, ViewerTicket, "connectionId"> = {
  operation: "createViewerTicket",
  method: "POST",
  path: "/v1/environments/{connectionId}/status/ws-ticket",
  audience: "caller",
  extension: true,
  scope: "view",
  params: ["connectionId"],
  query: null,
  body: null,
  response: ViewerTicketSchema,
  successStatus: 200,
  problems: ["invalid_id", "connection_not_found", "too_many_viewers", "storage_unavailable"],
};
