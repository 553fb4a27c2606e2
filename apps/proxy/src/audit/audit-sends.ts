import type { ConnectionRecord } from "@letta-environments/environment-server";
import {
  isApprovalMessage,
  type PlainResponse,
  type Principal,
  problemResponse,
  type SendMessageBody,
} from "@letta-environments/schema";
import { parseJsonObject } from "../lib/json.ts";
import type { SendFacts } from "./audit-entry.ts";
import type { AuditLog } from "./audit-log.ts";

/** Message ids that are kept of a refused send. */
const maxRefusedMessageIds = 20;

/** A send on its way through the pipeline; the steps fill it in. */
export interface AuditedSend {
  readonly sendId: string;
  readonly requestId: string;
  readonly principal: Principal;
  readonly connectionId: string;
  /** False for a caller's own upstream key, of which only the upstream can tell whether it is anybody's. */
  readonly isCallerKnown: boolean;
  /** `null` until it was read. */
  body: SendMessageBody | null;
  deviceId: string | null;
  /** Its start is on disk: it may leave. */
  isStarted: boolean;
  /** The connection, where it has been looked up; `null` when it does not exist. */
  readonly connection: ConnectionRecord | null | undefined;
}

/** Writes down what becomes of sends. */
export interface AuditSends {
  /** Call before a send leaves. It must not, when this resolves with a response for the caller instead of `null`. */
  start(send: AuditedSend, deviceId: string): Promise<PlainResponse | null>;
  /** Call with what the caller is told. Its failure changes nothing any more; the log's owner is told. */
  finish(send: AuditedSend, response: PlainResponse): Promise<void>;
}

/** Begins to follow a send. Its device is known already where its connection was looked up. */
export function beginSend(
  send: Pick<AuditedSend, "sendId" | "requestId" | "principal" | "connectionId" | "isCallerKnown" | "connection">,
): AuditedSend {
  return { ...send, body: null, deviceId: send.connection?.environment.deviceId ?? null, isStarted: false };
}

/** Creates {@link AuditSends}; without a log nothing is written and nothing is held up. */
export function createAuditSends(
  audit: AuditLog | null,
  options: { readonly keepContent: boolean; readonly onFailure: (requestId: string, cause: unknown) => void },
): AuditSends {
  if (audit === null) return withoutLog;
  const { keepContent, onFailure } = options;
  return {
    async start(send, deviceId) {
      send.deviceId = deviceId;
      const content = keepContent ? { content: send.body?.messages ?? null } : {};
      try {
        await audit.append({ type: "send_started", ...factsOf(send), ...content });
      } catch (cause) {
        onFailure(send.requestId, cause);
        return problemResponse("audit_unavailable");
      }
      send.isStarted = true;
      return null;
    },
    async finish(send, response) {
      // Whoever has no key must not be able to fill the disk: nothing has left, and nobody is known to have wanted it.
      if (!send.isStarted && !send.isCallerKnown) return;
      const result = { status: response.status, code: codeOf(response) };
      const replayed = response.headers["idempotency-replayed"] === "true";
      const entry = send.isStarted
        ? ({ type: "send_finished", sendId: send.sendId, ...result, replayed } as const)
        : ({ type: "send_refused", ...refusedFactsOf(send), ...result } as const);
      await audit.append(entry).catch((cause: unknown) => onFailure(send.requestId, cause));
    },
  };
}

const withoutLog: AuditSends = {
  start(send, deviceId) {
    send.deviceId = deviceId;
    send.isStarted = true;
    return Promise.resolve(null);
  },
  finish: () => Promise.resolve(),
};

function factsOf({ sendId, requestId, principal, connectionId, deviceId, body }: AuditedSend): SendFacts {
  const messages = body?.messages ?? [];
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
  };
}

/** Of what was not done a few ids are enough: a body may hold thousands. */
function refusedFactsOf(send: AuditedSend): SendFacts {
  const facts = factsOf(send);
  return { ...facts, messageIds: facts.messageIds.slice(0, maxRefusedMessageIds) };
}

function codeOf({ status, body }: PlainResponse): string | null {
  if (status < 400 || body === null) return null;
  const problem = parseJsonObject(body);
  return typeof problem?.["errorCode"] === "string" ? problem["errorCode"] : null;
}
