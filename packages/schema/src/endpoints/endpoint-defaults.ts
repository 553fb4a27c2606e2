/** Members, limits and problem codes that endpoints of `endpoints.ts` share. */
import type { Endpoint } from "./endpoint.ts";
import type { ProblemCode } from "../problems/problem-definitions.ts";

/** Problems of every operation with a body. */
export const bodyProblems: readonly ProblemCode[] = ["malformed_json", "body_too_large", "unsupported_media_type"];

/** Bytes that are enough for labels, for a command, and for 16,384 characters of metadata, even if each of them is escaped. */
export const smallBodyBytes = 131_072;

/** Problems of every operation that changes a device. */
export const deviceProblems: readonly ProblemCode[] = [
  "invalid_request",
  "invalid_id",
  "environment_not_found",
  "grant_not_allowed",
  "storage_unavailable",
];

/** Problems of every operation that controls a conversation. */
export const controlProblems: readonly ProblemCode[] = [
  "invalid_request",
  "invalid_id",
  "connection_not_found",
  "device_offline",
  "connection_replaced",
  "control_rejected",
  "agent_not_allowed",
  "agent_required",
  "queue_full",
  "storage_unavailable",
  "control_unknown",
];

/** The members shared by the operations with `GET`, except where one states otherwise. */
export const get = {
  method: "GET",
  audience: "caller",
  params: [],
  query: null,
  body: null,
  successStatus: 200,
} as const;

/** The members shared by the operations with a body that control a conversation. */
export const control: Omit<
  Endpoint<never, never, never, "connectionId">,
  "operation" | "path" | "body" | "response"
> = {
  method: "POST",
  audience: "caller",
  extension: true,
  scope: "control",
  params: ["connectionId"],
  query: null,
  maxBodyBytes: smallBodyBytes,
  successStatus: 200,
  problems: [...bodyProblems, ...controlProblems],
};
