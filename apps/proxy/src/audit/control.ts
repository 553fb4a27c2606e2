/** Audit entries of commands to a device: of control operations, and of commands that viewers send over their sockets. */
import {
  type ControlOperation,
  controlTargetOf,
  type DecodedRequest,
  type PlainResponse,
} from "@letta-environments/schema";
import { type JsonObject, parseJsonObject } from "../lib/json.ts";
import type { GatewayPorts } from "../ports.ts";
import { type ActionFacts, type ActionLog, appendFirst, type AuditedAction, beginAction, factsOf } from "./actions.ts";
import type { ControlFacts, ViewerCommandEntry } from "./entry.ts";

/** Creates the function that begins control operations. */
export function createBeginControl({ randomId, ...log }: ActionLog & Pick<GatewayPorts, "randomId">) {
  return (operation: ControlOperation, facts: ActionFacts): AuditedAction => {
    const controlId = randomId("control");
    const controlOf = (control: AuditedAction): ControlFacts => ({ controlId, ...controlFactsOf(operation, control) });
    return beginAction(facts, log, {
      started: (control) => ({ type: "control_started", ...controlOf(control) }),
      refused: (control, result) => ({ type: "control_refused", ...controlOf(control), ...result }),
      finished({ status, body }, result) {
        const effect = status === 200 ? reportIn(body, operation) : null;
        return { type: "control_finished", controlId, ...result, effect };
      },
    });
  };
}

/** The member of each response that is recorded, and its type. A remote upstream may add anything, such as its credential or megabytes. */
const reported: Readonly<Record<ControlOperation, readonly [member: string, type: string]>> = {
  stopTurn: ["stopped", "boolean"],
  changeMode: ["mode", "string"],
  changeDirectory: ["directory", "string"],
  resumeQueue: ["resumed", "number"],
  removeQueueItem: ["removed", "boolean"],
};

/** Maximum length of a recorded text: the longest directory of a request. */
const maxTextLength = 4_096;

function reportIn(body: PlainResponse["body"], operation: ControlOperation): JsonObject | null {
  const [member, type] = reported[operation];
  const value = parseJsonObject(body)?.[member];
  if (typeof value !== type) return null;
  return { [member]: typeof value === "string" ? value.slice(0, maxTextLength) : value };
}

function controlFactsOf(operation: ControlOperation, control: AuditedAction): Omit<ControlFacts, "controlId"> {
  const { itemId, decoded } = control;
  const { agentId = null, conversationId = null } = (decoded && controlTargetOf(decoded)) ?? {};
  return { ...factsOf(control), operation, agentId, conversationId, value: itemId ?? valueOf(decoded) };
}

function valueOf(request: DecodedRequest | null): string | null {
  switch (request?.operation) {
    case "stopTurn":
      return request.body.runId ?? null;
    case "changeMode":
      return request.body.mode;
    case "changeDirectory":
      return request.body.directory;
    default:
      return null;
  }
}

/** A command of a viewer without its result. */
export type ViewerCommandFacts = Omit<ViewerCommandEntry, "type" | "code">;

/** Writes the entries of viewers. Each is on disk before its command leaves. */
export interface AuditViewers {
  /** Records a command that is about to leave. A response means that it must not. */
  record(facts: ViewerCommandFacts): Promise<PlainResponse | null>;
  /** Records a frame that was refused. It never throws: `onFailure` receives a failure. */
  recordRefused(facts: ViewerCommandFacts, code: string): void;
}

/** Creates {@link AuditViewers}. */
export function createAuditViewers(log: ActionLog): AuditViewers {
  return {
    record: (facts) => appendFirst(log, facts.requestId, { type: "viewer_command", ...facts, code: null }),
    recordRefused: (facts, code) => void appendFirst(log, facts.requestId, { type: "viewer_command", ...facts, code }),
  };
}
