/** Audit entries of control operations. The start is written before the command leaves, and the result once it is known. */
import type { ConnectionRecord } from "@letta-environments/environment-server";
import { type ControlOperation, type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import { parseJsonObject } from "../lib/json.ts";
import type { ControlRecord } from "../upstream/upstream.ts";
import type { AuditEntry, ControlFacts } from "./entry.ts";
import type { AuditLog } from "./log.ts";
import { codeOf } from "./sends.ts";

/** A control operation in the pipeline. Its steps fill in the mutable members. */
export interface AuditedControl {
  readonly controlId: string;
  readonly requestId: string;
  readonly principal: Principal;
  readonly connectionId: string;
  readonly operation: ControlOperation;
  /** The item of the queue in the path; `null` for none. */
  readonly itemId: string | null;
  /** False for a caller's own upstream key, which only the upstream can verify. */
  readonly isCallerKnown: boolean;
  /** The connection, where it has been looked up; `null` when it does not exist. */
  readonly connection: ConnectionRecord | null | undefined;
  /** The decoded body or query; `null` until it is read. */
  input: Readonly<Record<string, unknown>> | null;
  deviceId: string | null;
  /** Whether `control_started` is on disk, so that the command may leave. */
  isStarted: boolean;
  /** Settles when `control_started` is on disk or has failed; `null` while nothing is being stored. */
  starting: Promise<unknown> | null;
}

/** Writes the entries of control operations. */
export interface AuditControls {
  /** Returns the record of a control operation for its upstream call. */
  recordOf(control: AuditedControl): ControlRecord;
  /** Records the response, after the start. It never rejects: `onFailure` receives a failure. */
  finish(control: AuditedControl, response: PlainResponse): Promise<void>;
}

/** Begins a control operation. */
export function beginControl(
  control: Omit<AuditedControl, "input" | "deviceId" | "isStarted" | "starting">,
): AuditedControl {
  const deviceId = control.connection?.environment.deviceId ?? null;
  return { ...control, input: null, deviceId, isStarted: false, starting: null };
}

/** Creates {@link AuditControls}. Without a log nothing is written. */
export function createAuditControls(
  log: AuditLog | null,
  onFailure: (requestId: string, cause: unknown) => void,
): AuditControls {
  async function start(control: AuditedControl, deviceId: string | null): Promise<PlainResponse | null> {
    control.deviceId = deviceId;
    try {
      await log?.append({ type: "control_started", ...factsOf(control) });
    } catch (cause) {
      onFailure(control.requestId, cause);
      return problemResponse("audit_unavailable");
    }
    control.isStarted = true;
    return null;
  }

  return {
    recordOf: (control) => ({
      start(deviceId) {
        const starting = start(control, deviceId);
        control.starting = starting;
        return starting;
      },
    }),
    async finish(control, response) {
      await control.starting;
      try {
        const entry = log === null ? null : endOf(control, response);
        if (entry !== null) await log?.append(entry);
      } catch (cause) {
        onFailure(control.requestId, cause);
      }
    },
  };
}

/** The entry at the end; `null` for none. */
function endOf(control: AuditedControl, response: PlainResponse): AuditEntry | null {
  const { controlId, isStarted, isCallerKnown } = control;
  // Callers without a verified key must not be able to fill the disk. Their refused commands did not leave.
  if (!isStarted && !isCallerKnown) return null;
  const result = { status: response.status, code: codeOf(response) };
  if (!isStarted) return { type: "control_refused", ...factsOf(control), ...result };
  const effect = response.status === 200 && response.body !== null ? parseJsonObject(response.body) : null;
  return { type: "control_finished", controlId, ...result, effect };
}

function factsOf(control: AuditedControl): ControlFacts {
  const { controlId, requestId, principal, connectionId, deviceId, operation, itemId, input } = control;
  const { agentId, conversationId, mode, directory, runId } = input ?? {};
  return {
    controlId,
    requestId,
    tenant: principal.tenant,
    keyId: principal.keyId,
    owner: principal.owner,
    connectionId,
    deviceId,
    operation,
    agentId: textOf(agentId),
    conversationId: textOf(conversationId),
    value: itemId ?? textOf(mode ?? directory ?? runId),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
