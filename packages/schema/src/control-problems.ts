import type { ProblemCode } from "./problem-definitions.ts";

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
