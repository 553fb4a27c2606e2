/**
 * The audit record of an action on a device: a send, or a control operation. Its start is logged before it leaves, and its result as soon as it
 * is known.
 */
import type { ConnectionRecord } from "@letta-environments/environment-server";
import { type DecodedRequest, type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import { errorCodeOf } from "../http/response.ts";
import type { ActionRecord, SendRecord } from "../upstream/upstream.ts";
import type { ActionResult, AuditEntry, EntryFacts } from "./entry.ts";
import type { AuditLog } from "./log.ts";

/** The facts of an action when its record is opened. */
export interface ActionFacts {
  readonly requestId: string;
  readonly principal: Principal;
  readonly connectionId: string;
  /** The item of the queue in the path; `null` for none. */
  readonly itemId: string | null;
  /** False for a caller's own upstream key, which only the upstream can verify. */
  readonly isCallerKnown: boolean;
  /** The connection, where it has been looked up; `null` when it does not exist. */
  readonly connection: ConnectionRecord | null | undefined;
}

/** An action in the pipeline. Its steps fill in the mutable members. */
export interface AuditedAction extends ActionFacts {
  /** `null` until the body is read. */
  decoded: DecodedRequest | null;
  deviceId: string | null;
  /** Whether the start is on disk, so that the action may leave. */
  isStarted: boolean;
  /** The record for the upstream call. */
  record: ActionRecord | SendRecord;
  /** Settles when the result is stored for repeats; `null` where none is. */
  storing: Promise<void> | null;
  /**
   * Records the response once the start is stored: a request can reach its deadline or lose its caller before that. The response may be sent when this
   * resolves. It never rejects: `onFailure` receives a failure.
   */
  finish(response: PlainResponse): Promise<void>;
}

/** Begins an action. Its device is already known if its connection was looked up. */
export type BeginAction = (facts: ActionFacts) => AuditedAction;

/** Where the entries of actions go. Without a log nothing is written. */
export interface ActionLog {
  readonly log: AuditLog | null;
  readonly onFailure: (requestId: string, cause: unknown) => void;
}

/** The entries of one kind of action. */
export interface ActionEntries {
  started(action: AuditedAction): AuditEntry;
  refused(action: AuditedAction, result: ActionResult): AuditEntry;
  finished(response: PlainResponse, result: ActionResult): AuditEntry;
}

/** Returns the facts that every entry of an action contains, apart from the conversation. */
export function factsOf(action: AuditedAction): Omit<EntryFacts, "agentId" | "conversationId"> {
  const { requestId, principal, connectionId, deviceId } = action;
  const { tenant, keyId, owner } = principal;
  return { requestId, tenant, keyId, owner, connectionId, deviceId };
}

/** Appends an entry before the action that it records. If that fails, returns a refusal and passes the cause to `onFailure`. */
export async function appendFirst(
  { log, onFailure }: ActionLog,
  requestId: string,
  entry: AuditEntry,
): Promise<PlainResponse | null> {
  try {
    await log?.append(entry);
    return null;
  } catch (cause) {
    onFailure(requestId, cause);
    return problemResponse("audit_unavailable");
  }
}

/** Begins an action with the given entries. */
export function beginAction(facts: ActionFacts, actionLog: ActionLog, entries: ActionEntries): AuditedAction {
  const { log, onFailure } = actionLog;
  /** Settles when the start is on disk or has failed; `null` where nothing has to wait for it. */
  let starting: Promise<unknown> | null = null;

  async function start(deviceId: string | null): Promise<PlainResponse | null> {
    action.deviceId = deviceId;
    const refusal = await appendFirst(actionLog, facts.requestId, entries.started(action));
    if (refusal === null) action.isStarted = true;
    return refusal;
  }

  function endOf(response: PlainResponse): AuditEntry | null {
    const { isStarted, isCallerKnown } = action;
    // Callers without a verified key must not be able to fill the disk. Their refused actions did not leave.
    if (!isStarted && !isCallerKnown) return null;
    const result = { status: response.status, code: errorCodeOf(response) };
    return isStarted ? entries.finished(response, result) : entries.refused(action, result);
  }

  const action: AuditedAction = {
    ...facts,
    decoded: null,
    deviceId: facts.connection?.environment.deviceId ?? null,
    isStarted: false,
    record: { start: (deviceId) => (starting = start(deviceId)) },
    storing: null,
    async finish(response) {
      if (starting !== null) await starting;
      try {
        const entry = log === null ? null : endOf(response);
        if (entry !== null) await log?.append(entry);
      } catch (cause) {
        onFailure(facts.requestId, cause);
      }
      await action.storing;
    },
  };
  return action;
}
