/**
 * The problem codes of the API with their statuses and texts. `docs/problems/` has a page for each code. Codes, statuses and
 * `type` URIs are stable; texts may change.
 */

/** The constant properties of a problem code. */
export interface ProblemDefinition {
  /** HTTP status. */
  readonly status: number;
  /** Short summary, the same for every occurrence (RFC 9457 section 3.1.3). */
  readonly title: string;
  /** Public text, used if an occurrence has no more precise one. */
  readonly text: string;
  /** Whether the same request may succeed when it is repeated, without any effect happening twice. */
  readonly retryable: boolean;
  /** The broken rule, if it is the same for every occurrence. */
  readonly issue?: ProblemIssue;
  /** `type` URI of a problem type that is registered elsewhere; one of this project when absent. */
  readonly type?: string;
}

/** One broken rule. */
export interface ProblemIssue {
  /** The member, parameter or header, such as `messages[0].content`, `limit`, `deviceId` or `authorization`. */
  readonly member: string;
  /** The broken rule in words, without the value. */
  readonly rule: string;
}

/** Registry of the problem types in draft-ietf-httpapi-ratelimit-headers-11 section 5. */
const registeredTypes = "https://iana.org/assignments/http-problem-types";

/** Defines a problem whose request must not be repeated unchanged. */
// @__NO_SIDE_EFFECTS__
function define(status: number, title: string, text: string, issue?: ProblemIssue): ProblemDefinition {
  return { status, title, text, retryable: false, ...(issue !== undefined && { issue }) };
}

/** Defines a problem whose request may be repeated. */
// @__NO_SIDE_EFFECTS__
function retryable(status: number, title: string, text: string): ProblemDefinition {
  return { status, title, text, retryable: true };
}

/** A stable error code. */
export type ProblemCode =
  | "malformed_json"
  | "invalid_request"
  | "invalid_id"
  | "missing_key"
  | "invalid_key"
  | "insufficient_scope"
  | "device_not_allowed"
  | "agent_not_allowed"
  | "mode_not_allowed"
  | "origin_not_allowed"
  | "tenant_not_configured"
  | "upstream_forbidden"
  | "device_owned_by_another_key"
  | "grant_not_allowed"
  | "endpoint_not_found"
  | "environment_not_found"
  | "connection_not_found"
  | "message_not_found"
  | "key_not_found"
  | "method_not_allowed"
  | "device_offline"
  | "connection_replaced"
  | "input_rejected"
  | "approval_decided"
  | "message_ambiguous"
  | "control_rejected"
  | "mode_not_set"
  | "approval_not_found"
  | "agents_api_missing"
  | "send_in_progress"
  | "key_revoked"
  | "key_damaged"
  | "precondition_failed"
  | "body_too_large"
  | "unsupported_media_type"
  | "agent_required"
  | "approvals_unsupported"
  | "message_id_reused"
  | "upgrade_required"
  | "queue_full"
  | "too_many_viewers"
  | "device_throttled"
  | "rate_limited"
  | "internal_error"
  | "upstream_credential_rejected"
  | "upstream_error"
  | "upstream_invalid_response"
  | "upstream_response_too_large"
  | "upstream_redirected"
  | "upstream_unreachable"
  | "shutting_down"
  | "storage_unavailable"
  | "not_ready"
  | "audit_unavailable"
  | "idempotency_unavailable"
  | "issuer_unavailable"
  | "key_store_unavailable"
  | "limits_unavailable"
  | "overloaded"
  | "delivery_unknown"
  | "control_unknown"
  | "upstream_timeout"
  | "loop_detected";

/** The definition of every problem code. */
export const problemDefinitions: Readonly<Record<ProblemCode, ProblemDefinition>> = {
  malformed_json: define(400, "Malformed JSON", "The body is not valid JSON in UTF-8.", {
    member: "body",
    rule: "must be one JSON value in UTF-8",
  }),
  invalid_request: define(400, "Invalid request", "The request breaks a rule of the API."),
  invalid_id: define(400, "Invalid id", "An id in the path is not valid."),
  missing_key: define(401, "Missing key", "Send a gateway key as 'Authorization: Bearer <key>'.", {
    member: "authorization",
    rule: "is required",
  }),
  invalid_key: define(401, "Invalid key", "The gateway key is not valid: unknown, malformed, expired or revoked.", {
    member: "authorization",
    rule: "must contain one valid key as a Bearer credential",
  }),
  insufficient_scope: define(403, "Insufficient scope", "The gateway key lacks the scope for this operation."),
  device_not_allowed: define(403, "Device not allowed", "The gateway key may not enrol this device."),
  agent_not_allowed: define(403, "Agent not allowed", "The gateway key may not send to this agent."),
  mode_not_allowed: define(
    403,
    "Mode not allowed",
    "The device is in a more permissive mode than the gateway key allows, or in an unknown mode. Nothing was sent.",
  ),
  origin_not_allowed: define(403, "Origin not allowed", "Web pages of this origin may not open this socket."),
  tenant_not_configured: define(
    403,
    "Tenant not configured",
    "The gateway has no upstream credential for this tenant. Its operator must configure one.",
  ),
  upstream_forbidden: define(
    403,
    "Upstream forbidden",
    "The upstream does not allow this request with the caller's key.",
  ),
  device_owned_by_another_key: define(
    403,
    "Device owned by another key",
    "The device belongs to another gateway key, the one that enrolled it.",
  ),
  grant_not_allowed: define(
    403,
    "Grant not allowed",
    "The key would have more rights than the key that administers it.",
  ),
  endpoint_not_found: define(404, "Endpoint not found", "No endpoint has this path.", {
    member: "path",
    rule: "must be the path of an endpoint",
  }),
  environment_not_found: define(404, "Environment not found", "No environment has this deviceId.", {
    member: "deviceId",
    rule: "must be the deviceId of an environment",
  }),
  connection_not_found: define(404, "Connection not found", "No environment has this connectionId.", {
    member: "connectionId",
    rule: "must be the connectionId of an environment",
  }),
  message_not_found: define(404, "Message not found", "No message with this id was sent to this connection.", {
    member: "clientMessageId",
    rule: "must be the id of a message that was sent to the device of the connection",
  }),
  key_not_found: define(404, "Key not found", "No gateway key has this id.", {
    member: "keyId",
    rule: "must be the id of a gateway key",
  }),
  method_not_allowed: define(405, "Method not allowed", "The endpoint does not support this method.", {
    member: "method",
    rule: "must be one of the methods in Allow",
  }),
  // Official clients repeat a request to a starting device if the text contains "Remote environment is offline".
  device_offline: define(409, "Device offline", "Remote environment is offline. Nothing was sent."),
  connection_replaced: define(
    409,
    "Connection replaced",
    "The device registered again and has a new connectionId. Nothing was sent. Retrieve the environment to get it.",
  ),
  input_rejected: define(409, "Input rejected", "The device did not accept the message."),
  approval_decided: define(409, "Approval decided", "This tool call was already decided. Nothing was sent."),
  message_ambiguous: define(
    409,
    "Message ambiguous",
    "Messages of several conversations have this id. Add agentId and conversationId to the query.",
    { member: "conversationId", rule: "must select one of the conversations in which the id was used" },
  ),
  control_rejected: define(409, "Control rejected", "The device refused the command. Nothing was changed."),
  mode_not_set: retryable(
    409,
    "Mode not set",
    "The gateway key sets the mode of the conversation first, but the device did not report that mode. The message was not sent.",
  ),
  approval_not_found: define(
    404,
    "Approval not found",
    "No such request for permission is pending in this conversation. Nothing was sent.",
  ),
  agents_api_missing: define(
    409,
    "Agents API missing",
    "The turns of this device fail because it uses the API backend, which needs an agents API at the address of this server, " +
      "and there is none. Start the device with --backend local. Nothing was sent.",
  ),
  send_in_progress: retryable(
    409,
    "Send in progress",
    "An earlier request with the same ids is still in progress. Nothing was sent again. Repeat the request to get its result.",
  ),
  key_revoked: define(
    409,
    "Key revoked",
    "The gateway key is revoked or expired. Nothing was changed. Create a new key.",
  ),
  key_damaged: define(
    409,
    "Key damaged",
    "The stored record of the gateway key is damaged. Nothing was changed. Revoke the key and create a new one.",
  ),
  precondition_failed: define(
    412,
    "Precondition failed",
    "If-Match does not match the current entity tag. Nothing was changed. Read the resource again first.",
    { member: "if-match", rule: "must contain the current entity tag" },
  ),
  body_too_large: define(413, "Body too large", "The body is larger than 1 MiB (1,048,576 bytes).", {
    member: "body",
    rule: "must have at most 1,048,576 bytes",
  }),
  unsupported_media_type: define(
    415,
    "Unsupported media type",
    "Send the body as application/json in UTF-8, without a content encoding.",
    { member: "content-type", rule: "must be application/json in UTF-8, without a content encoding" },
  ),
  agent_required: define(422, "Agent required", "agentId is required unless conversationId names a conversation."),
  approvals_unsupported: define(
    422,
    "Tool returns unsupported",
    "This server delivers approval decisions but not tool results. Nothing was sent.",
  ),
  message_id_reused: define(
    422,
    "Message id reused",
    "An id in the request was already used with a different body. Nothing was sent.",
  ),
  upgrade_required: define(426, "Upgrade required", "This endpoint accepts only WebSocket connections."),
  queue_full: define(429, "Queue full", "The conversation has too many waiting messages. Nothing was sent."),
  too_many_viewers: retryable(
    429,
    "Too many viewers",
    "The gateway key has too many viewer sockets or unused tickets.",
  ),
  device_throttled: retryable(
    429,
    "Device throttled",
    "The device exceeded a limit. It may register and connect again later.",
  ),
  rate_limited: {
    ...retryable(429, "Rate limited", "The request exceeds a rate limit of the gateway. It was not executed."),
    type: `${registeredTypes}#quota-exceeded`,
  },
  internal_error: define(500, "Internal error", "The service failed. The failure was logged."),
  upstream_credential_rejected: define(
    502,
    "Upstream credential rejected",
    "The upstream refused the gateway's own credential.",
  ),
  upstream_error: define(502, "Upstream error", "The upstream returned an error."),
  upstream_invalid_response: define(
    502,
    "Invalid upstream response",
    "The upstream returned a response that is not valid.",
  ),
  upstream_response_too_large: define(
    502,
    "Upstream response too large",
    "The response of the upstream is larger than the gateway accepts.",
  ),
  upstream_redirected: define(
    502,
    "Upstream redirect",
    "The upstream returned a redirect. The gateway does not follow redirects.",
  ),
  upstream_unreachable: retryable(
    502,
    "Upstream unreachable",
    "The gateway could not connect to the upstream. Nothing was sent.",
  ),
  issuer_unavailable: retryable(
    503,
    "Issuer unavailable",
    "The gateway could not read the keys of the token's issuer, so it could not check the token.",
  ),
  storage_unavailable: retryable(
    503,
    "Storage unavailable",
    "Another process has locked the environment database. Nothing was sent or changed.",
  ),
  audit_unavailable: retryable(
    503,
    "Audit log unavailable",
    "The audit log cannot be written. Nothing was sent or changed.",
  ),
  idempotency_unavailable: retryable(
    503,
    "Idempotency unavailable",
    "The gateway cannot record the message ids, so it could not prevent a second delivery. Nothing was sent.",
  ),
  key_store_unavailable: retryable(
    503,
    "Key store unavailable",
    "The gateway could not look up the key. The request was not executed.",
  ),
  limits_unavailable: {
    ...retryable(
      503,
      "Rate limits unavailable",
      "The gateway cannot check its rate limits. The request was not executed.",
    ),
    type: `${registeredTypes}#temporary-reduced-capacity`,
  },
  not_ready: retryable(503, "Not ready", "The service cannot use its disk or one of its stores."),
  overloaded: {
    ...retryable(503, "Overloaded", "The service is overloaded. The request was not executed."),
    type: `${registeredTypes}#temporary-reduced-capacity`,
  },
  shutting_down: retryable(503, "Shutting down", "The service is shutting down. The request was not executed."),
  delivery_unknown: define(
    504,
    "Delivery unknown",
    "The message was sent, but the device did not acknowledge it in time. It may be running. Do not send it again with another id.",
  ),
  control_unknown: retryable(
    504,
    "Control unknown",
    "The command was sent, but the device did not report its effect in time. It may have taken effect, or still may.",
  ),
  upstream_timeout: retryable(504, "Upstream timeout", "The upstream did not respond in time."),
  loop_detected: define(508, "Loop detected", "The upstream leads back to this gateway. Nothing was sent."),
};

/** Every {@link ProblemCode}. */
export const problemCodes: readonly ProblemCode[] = /* @__PURE__ */ Object.keys(problemDefinitions) as ProblemCode[];
