/**
 * Translates frames with the same effect as an API operation into calls of that operation. So a viewer's message has the same
 * checks, limits, deduplication and audit as one sent over HTTP, and is never written to the device by another path. The
 * responses of the API become the responses of the device protocol.
 */
import type { ControlOperation, PlainResponse, Principal } from "@letta-environments/schema";
import { type Conversation, toWireRuntime } from "../dialects/conversation.ts";
import { isMembers, type Members, membersOf, parseMembers } from "../dialects/values.ts";
import {
  type FrameRefusal,
  invalidFrame,
  readTarget,
  type RefusedFrame,
  refuseFrame,
  type ViewerFrame,
} from "./frame.ts";

/** A call of an API operation at the connection of the viewer. */
export interface ApiCall {
  readonly operation: "sendMessage" | ControlOperation;
  /** The item in the path of `removeQueueItem`. */
  readonly itemId: string | null;
  readonly query: Readonly<Record<string, string>>;
  /** The JSON body; `null` for none. */
  readonly body: Members | null;
}

/** The calls of a frame, in order: the first that fails ends it. */
export interface TranslatedFrame {
  readonly kind: "calls";
  readonly runtime: Conversation;
  readonly calls: readonly ApiCall[];
}

type Translation = TranslatedFrame | RefusedFrame;

/** The types that {@link translateFrame} knows. */
export const translatedTypes: ReadonlySet<string> = new Set([
  "input",
  "abort_message",
  "change_device_state",
  "resume_queue",
  "remove_queue_item",
]);

/** Members of an input's payload that the API has. Others could change the permissions of the turn. */
const messageMembers: ReadonlySet<string> = new Set(["kind", "messages"]);
const approvalPrefix = "perm-";

/**
 * Translates a frame into calls of the API.
 *
 * @param newId returns an id for a message that has none
 */
export function translateFrame({ type, members }: ViewerFrame, principal: Principal, newId: () => string): Translation {
  const target = readTarget(members["runtime"], principal);
  if (target.kind === "refused") return target;
  const { runtime } = target;
  const conversation = {
    ...(runtime.agentId !== "" && { agentId: runtime.agentId }),
    conversationId: runtime.conversationId,
  };
  const call = (operation: ApiCall["operation"], body: Members): ApiCall => {
    return { operation, itemId: null, query: {}, body: { ...conversation, ...body } };
  };
  const allow = (...calls: readonly ApiCall[]): Translation => {
    return { kind: "calls", runtime, calls };
  };
  switch (type) {
    case "input": {
      const messages = readInput(membersOf(members["payload"]), newId);
      return "refusal" in messages ? messages : allow(call("sendMessage", { messages: messages.messages }));
    }
    case "abort_message": {
      const { run_id: runId } = members;
      return allow(call("stopTurn", runId === undefined || runId === null ? {} : { runId }));
    }
    case "change_device_state":
      return readChange(membersOf(members["payload"]), runtime, call, allow);
    case "resume_queue":
      return allow(call("resumeQueue", {}));
    default: {
      const { item_id: itemId } = members;
      if (typeof itemId !== "string" || itemId === "") return refuse("item_id must be a non-empty string");
      return allow({ operation: "removeQueueItem", itemId, query: conversation, body: null });
    }
  }
}

/** Whether an input decides on a request for permission, which needs another scope than a message. */
export function isDecision({ members }: ViewerFrame): boolean {
  return membersOf(members["payload"])["kind"] === "approval_response";
}

/** Reads the messages of an input, or its decision as a message of the API. */
function readInput(payload: Members, newId: () => string): { readonly messages: readonly unknown[] } | RefusedFrame {
  if (payload["kind"] === "approval_response") return readDecision(payload);
  if (payload["kind"] !== "create_message") return refuse("payload.kind must be create_message or approval_response");
  const other = Object.keys(payload).find((name) => !messageMembers.has(name) && isPresent(payload[name]));
  if (other !== undefined) return refuse(`payload.${other.slice(0, 64)} is not offered by this server`);
  const { messages } = payload;
  if (!Array.isArray(messages)) return refuse("payload.messages must be an array");
  return {
    messages: messages.map((message: unknown) =>
      isMembers(message) && message["client_message_id"] === undefined
        ? { ...message, client_message_id: newId() }
        : message,
    ),
  };
}

function readDecision(payload: Members): { readonly messages: readonly unknown[] } | RefusedFrame {
  const { request_id: requestId, error } = payload;
  if (typeof requestId !== "string" || !requestId.startsWith(approvalPrefix)) {
    return refuse(`payload.request_id must be that of a control_request: it begins with ${approvalPrefix}`);
  }
  const {
    behavior,
    message,
    updated_input: input,
    selected_permission_suggestion_ids: suggestions,
  } = membersOf(payload["decision"]);
  if (typeof error !== "string" && behavior !== "allow" && behavior !== "deny") {
    return refuse("payload.decision.behavior must be allow or deny");
  }
  const approve = behavior === "allow";
  const reason = typeof error === "string" ? error : message;
  const approval = {
    type: "approval",
    tool_call_id: requestId.slice(approvalPrefix.length),
    approve: approve && typeof error !== "string",
    ...(isPresent(reason) && { reason }),
    ...(approve && isPresent(input) && { updated_input: input }),
    ...(isPresent(suggestions) && { selected_permission_suggestion_ids: suggestions }),
  };
  return { messages: [{ type: "approval", approvals: [approval] }] };
}

function readChange(
  payload: Members,
  runtime: Conversation,
  call: (operation: ApiCall["operation"], body: Members) => ApiCall,
  allow: (...calls: readonly ApiCall[]) => Translation,
): Translation {
  const { mode, cwd, agent_id: agentId, conversation_id: conversationId } = payload;
  // A device prefers the conversation of the payload over the frame's.
  const isOther =
    (isPresent(agentId) && agentId !== runtime.agentId) ||
    (isPresent(conversationId) && conversationId !== runtime.conversationId);
  if (isOther) return refuse("payload must name the conversation of runtime, or none");
  const calls = [
    ...(mode === undefined ? [] : [call("changeMode", { mode })]),
    ...(cwd === undefined ? [] : [call("changeDirectory", { directory: cwd })]),
  ];
  return calls.length === 0 ? refuse("payload must have mode or cwd") : allow(...calls);
}

/** The response frame of a translated frame when its calls succeeded; `null` when the protocol has none. */
export function successFrame({ type, members }: ViewerFrame, runtime: Conversation, body: Members): Members | null {
  const wire = { runtime: toWireRuntime(runtime) };
  switch (type) {
    case "input":
      return { ...wire, accepted: true, ...(isPresent(body["disposition"]) && { disposition: body["disposition"] }) };
    case "abort_message":
      return { ...wire, aborted: body["stopped"] === true, success: true };
    case "resume_queue":
      return { ...wire, resumed: body["resumed"], success: true };
    case "remove_queue_item":
      return { success: body["removed"] === true, item_id: members["item_id"] };
    default:
      return null;
  }
}

/** Returns the refusal that a viewer receives for an unsuccessful API response. */
export function refusalOf(response: PlainResponse): FrameRefusal {
  const problem = bodyOf(response);
  const { errorCode, detail, title, errors } = problem;
  const [issue] = Array.isArray(errors) ? errors : [];
  const { member, rule } = membersOf(issue);
  const isRule = typeof member === "string" && typeof rule === "string";
  const text = [detail, title].find((value) => typeof value === "string") ?? "The request failed.";
  return {
    code: typeof errorCode === "string" ? errorCode : "internal_error",
    message: isRule && !text.includes(rule) ? `${text} ${member} ${rule}.` : text,
    scope: null,
  };
}

/** The JSON body of a response; empty when it is not an object. */
export function bodyOf({ body }: PlainResponse): Members {
  if (body === null) return {};
  return parseMembers(typeof body === "string" ? body : new TextDecoder().decode(body)) ?? {};
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function refuse(rule: string): RefusedFrame {
  return refuseFrame(invalidFrame(rule));
}
