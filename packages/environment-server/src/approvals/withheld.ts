/**
 * Requests for permission that only a status has listed, and that a policy of a message which has not ended denies. Their turn is not known, so they
 * are neither pending nor denied, and nobody may decide them: not even where the device itself decides on requests that are not remembered.
 */
import type { ApprovalKey } from "../approval-log.ts";
import { type Conversation, isSameConversation } from "../dialects/conversation.ts";
import { maxApprovalsPerDevice } from "../limits.ts";
import { keyText } from "./pending.ts";

/** The withheld requests of every connected device. */
export interface WithheldRequests {
  add(key: ApprovalKey): void;
  /** Whether a request is withheld, or could be one of those that were not remembered. */
  has(key: ApprovalKey): boolean;
  /** The device asks for it now. */
  delete(key: ApprovalKey): void;
  /** A conversation asks only for these tool calls. */
  keepOnly(environmentId: string, runtime: Conversation, toolCallIds: ReadonlySet<string>): void;
  disconnect(environmentId: string): void;
}

/** Creates {@link WithheldRequests}. */
export function createWithheldRequests(): WithheldRequests {
  const rows = new Map<string, Map<string, ApprovalKey>>();
  /** Rows with more of them than are remembered. */
  const overfull = new Set<string>();

  function remove(environmentId: string, texts: readonly string[]): void {
    const row = rows.get(environmentId);
    for (const text of texts) row?.delete(text);
    if (row?.size === 0) rows.delete(environmentId);
  }

  return {
    add(key) {
      const { environmentId } = key.scope;
      const row = rows.get(environmentId) ?? new Map<string, ApprovalKey>();
      if (row.size < maxApprovalsPerDevice) rows.set(environmentId, row.set(keyText(key), key));
      else overfull.add(environmentId);
    },
    has: (key) =>
      overfull.has(key.scope.environmentId) || rows.get(key.scope.environmentId)?.has(keyText(key)) === true,
    delete: (key) => remove(key.scope.environmentId, [keyText(key)]),
    keepOnly(environmentId, runtime, toolCallIds) {
      const ended = [...(rows.get(environmentId) ?? [])].filter(
        ([, { scope, toolCallId }]) => isSameConversation(scope, runtime) && !toolCallIds.has(toolCallId),
      );
      remove(
        environmentId,
        ended.map(([text]) => text),
      );
    },
    disconnect(environmentId) {
      rows.delete(environmentId);
      overfull.delete(environmentId);
    },
  };
}
