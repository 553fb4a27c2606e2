/** Audit entries of sends. */
import {
  type ApprovalDecision,
  defaultConversationId,
  isApprovalMessage,
  type SendMessageBody,
  type ToolReturn,
} from "@letta-environments/schema";
import type { GatewayPorts } from "../ports.ts";
import { type ActionLog, type AuditedAction, beginAction, type BeginAction, factsOf } from "./actions.ts";
import type { SendFacts } from "./entry.ts";

/** The most message ids, and the most decisions, that the entry of a refused send contains: a body may have thousands. */
const maxRefusedIds = 20;

/** Creates the function that begins sends. */
export function createBeginSend({
  log,
  onFailure,
  keepContent,
  randomId,
}: ActionLog & { readonly keepContent: boolean } & Pick<GatewayPorts, "randomId">): BeginAction {
  function startOf(sendId: string, send: AuditedAction) {
    const content = keepContent ? { content: bodyOf(send)?.messages ?? null } : {};
    return { type: "send_started" as const, ...sendFactsOf(sendId, send), ...content };
  }

  return (facts) => {
    const sendId = randomId("send");
    const send = beginAction(
      facts,
      { log, onFailure },
      {
        started: () => startOf(sendId, send),
        refused: (_, result) => ({ type: "send_refused", ...sendFactsOf(sendId, send, maxRefusedIds), ...result }),
        finished(response, result) {
          const replayed = response.headers["idempotency-replayed"] === "true";
          return { type: "send_finished", sendId, ...result, replayed };
        },
      },
    );
    send.record = {
      ...send.record,
      sendId,
      appendStartInTransaction(deviceId) {
        send.deviceId = deviceId;
        if (log === null) return;
        if (log.appendInTransaction === undefined) throw new TypeError("the audit log is in another file");
        log.appendInTransaction(startOf(sendId, send));
      },
      markStarted() {
        send.isStarted = true;
      },
      async recordModeSwitch(mode, outcome) {
        const { tenant, keyId, connectionId, deviceId, agentId, conversationId } = sendFactsOf(sendId, send);
        const scope = { agentId: agentId || null, conversationId: conversationId ?? defaultConversationId };
        const switched = { tenant, deviceId: deviceId ?? "", connectionId, ...scope, mode, keyId, outcome };
        await log
          ?.append({ type: "mode_switched", ...switched })
          .catch((cause: unknown) => onFailure(facts.requestId, cause));
      },
      delayResponseUntil(work) {
        send.storing = work;
      },
    };
    return send;
  };
}

/** The body of a send; `null` until it is read. */
function bodyOf({ decoded }: AuditedAction): SendMessageBody | null {
  return decoded?.operation === "sendMessage" ? decoded.body : null;
}

function sendFactsOf(sendId: string, send: AuditedAction, maxIds?: number): SendFacts {
  const body = bodyOf(send);
  const messages = body?.messages ?? [];
  const decisions = messages
    .filter(isApprovalMessage)
    .flatMap(({ approvals }) => approvals.flatMap(toDecision))
    .slice(0, maxIds);
  const messageIds = messages.flatMap((message) => ("client_message_id" in message ? [message.client_message_id] : []));
  return {
    sendId,
    ...factsOf(send),
    agentId: body?.agentId ?? null,
    conversationId: body?.conversationId ?? null,
    messageIds: messageIds.slice(0, maxIds),
    answersApproval: messages.some(isApprovalMessage),
    ...(decisions.length > 0 && { decisions }),
  };
}

function toDecision(approval: ApprovalDecision | ToolReturn): { toolCallId: string; approve: boolean }[] {
  return "approve" in approval ? [{ toolCallId: approval.tool_call_id, approve: approval.approve }] : [];
}
