/** Audit entries of sends. A send is written to the log before it leaves, and its result once it is known. */
import type { ConnectionRecord } from "@letta-environments/environment-server";
import {
  type ApprovalDecision,
  defaultConversationId,
  isApprovalMessage,
  type PlainResponse,
  type Principal,
  problemResponse,
  type SendMessageBody,
  type ToolReturn,
} from "@letta-environments/schema";
import { parseJsonObject } from "../lib/json.ts";
import type { SendRecord } from "../upstream/upstream.ts";
import type { AuditEntry, SendFacts } from "./entry.ts";
import type { AuditLog } from "./log.ts";

/** The most message ids that the entry of a refused send contains. */
const maxRefusedMessageIds = 20;

/** A send in the pipeline. Its steps fill in the mutable members. */
export interface AuditedSend {
  readonly sendId: string;
  readonly requestId: string;
  readonly principal: Principal;
  readonly connectionId: string;
  /** False for a caller's own upstream key, which only the upstream can verify. */
  readonly isCallerKnown: boolean;
  /** `null` until the body is read. */
  body: SendMessageBody | null;
  deviceId: string | null;
  /** Whether `send_started` is on disk, so that the send may leave. */
  isStarted: boolean;
  /** Settles when `send_started` is on disk or has failed; `null` where nothing has to wait for it. */
  starting: Promise<unknown> | null;
  /** Settles when the result is stored for repeats; `null` where none is. */
  storing: Promise<void> | null;
  /** The connection, where it has been looked up; `null` when it does not exist. */
  readonly connection: ConnectionRecord | null | undefined;
}

/** Writes the entries of sends. */
export interface AuditSends {
  /** Returns the record of a send for its upstream call. */
  recordOf(send: AuditedSend): SendRecord;
  /**
   * Records the response to a send, after its start: a request can end by its deadline or its caller while the start is being
   * stored. Then the response may leave. It never rejects: `onFailure` receives a failure.
   */
  finish(send: AuditedSend, response: PlainResponse): Promise<void>;
}

/** Begins a send. Its device is known already where its connection has been looked up. */
export function beginSend(
  send: Pick<AuditedSend, "sendId" | "requestId" | "principal" | "connectionId" | "isCallerKnown" | "connection">,
): AuditedSend {
  return {
    ...send,
    body: null,
    deviceId: send.connection?.environment.deviceId ?? null,
    isStarted: false,
    starting: null,
    storing: null,
  };
}

/** Creates {@link AuditSends}. Without a log nothing is written. */
export function createAuditSends(
  log: AuditLog | null,
  options: { readonly keepContent: boolean; readonly onFailure: (requestId: string, cause: unknown) => void },
): AuditSends {
  const { keepContent, onFailure } = options;

  function startOf(send: AuditedSend, deviceId: string | null): AuditEntry {
    send.deviceId = deviceId;
    const content = keepContent ? { content: send.body?.messages ?? null } : {};
    return { type: "send_started", ...factsOf(send), ...content };
  }

  async function start(send: AuditedSend, deviceId: string | null): Promise<PlainResponse | null> {
    const entry = startOf(send, deviceId);
    try {
      await log?.append(entry);
    } catch (cause) {
      onFailure(send.requestId, cause);
      return problemResponse("audit_unavailable");
    }
    send.isStarted = true;
    return null;
  }

  return {
    recordOf: (send) => ({
      sendId: send.sendId,
      start(deviceId) {
        const starting = start(send, deviceId);
        send.starting = starting;
        return starting;
      },
      enterStart(deviceId) {
        const entry = startOf(send, deviceId);
        if (log === null) return;
        if (log.enter === undefined) throw new TypeError("the audit log is in another file");
        log.enter(entry);
      },
      started() {
        send.isStarted = true;
      },
      async modeSwitched(mode, outcome) {
        const { tenant, keyId, connectionId, deviceId, agentId, conversationId } = factsOf(send);
        const scope = { agentId: agentId || null, conversationId: conversationId ?? defaultConversationId };
        const facts = { tenant, deviceId: deviceId ?? "", connectionId, ...scope, mode, keyId, outcome };
        await log
          ?.append({ type: "mode_switched", ...facts })
          .catch((cause: unknown) => onFailure(send.requestId, cause));
      },
      respondAfter(work) {
        send.storing = work;
      },
    }),
    async finish(send, response) {
      if (send.starting !== null) await send.starting;
      try {
        const entry = log === null ? null : endOf(send, response);
        if (entry !== null) await log?.append(entry);
      } catch (cause) {
        onFailure(send.requestId, cause);
      }
      await send.storing;
    },
  };
}

/** The entry at the end of a send; `null` for none. */
function endOf(send: AuditedSend, response: PlainResponse): AuditEntry | null {
  const { sendId, isStarted, isCallerKnown } = send;
  // Callers without a verified key must not be able to fill the disk. Their refused sends did not leave.
  if (!isStarted && !isCallerKnown) return null;
  const result = { status: response.status, code: codeOf(response) };
  if (!isStarted) return { type: "send_refused", ...refusedFactsOf(send), ...result };
  const replayed = response.headers["idempotency-replayed"] === "true";
  return { type: "send_finished", sendId, ...result, replayed };
}

function factsOf({ sendId, requestId, principal, connectionId, deviceId, body }: AuditedSend): SendFacts {
  const messages = body?.messages ?? [];
  const decisions = messages.filter(isApprovalMessage).flatMap(({ approvals }) => approvals.flatMap(toDecision));
  return {
    sendId,
    requestId,
    tenant: principal.tenant,
    keyId: principal.keyId,
    owner: principal.owner,
    connectionId,
    deviceId,
    agentId: body?.agentId ?? null,
    conversationId: body?.conversationId ?? null,
    messageIds: messages.flatMap((message) => ("client_message_id" in message ? [message.client_message_id] : [])),
    answersApproval: messages.some(isApprovalMessage),
    ...(decisions.length > 0 && { decisions }),
  };
}

function toDecision(approval: ApprovalDecision | ToolReturn): { toolCallId: string; approve: boolean }[] {
  return "approve" in approval ? [{ toolCallId: approval.tool_call_id, approve: approval.approve }] : [];
}

/** A refused send is recorded with few message ids: a body may contain thousands. */
function refusedFactsOf(send: AuditedSend): SendFacts {
  const facts = factsOf(send);
  const { messageIds, decisions } = facts;
  return {
    ...facts,
    messageIds: messageIds.slice(0, maxRefusedMessageIds),
    ...(decisions !== undefined && { decisions: decisions.slice(0, maxRefusedMessageIds) }),
  };
}

/** The code of a problem; `null` for a success and for a response without one. */
export function codeOf({ status, body }: PlainResponse): string | null {
  if (status < 400 || body === null) return null;
  const problem = parseJsonObject(body);
  return typeof problem?.["errorCode"] === "string" ? problem["errorCode"] : null;
}
