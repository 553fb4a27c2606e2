/** Requests of devices for permission to use a tool, as `listApprovals` returns them, and the policies that decide on them. */
import * as v from "valibot";
import { type ListEnvironmentsQuery, ListLimitSchema } from "./list-query.ts";
import { isRecord } from "../base/rules.ts";
import { IdentifierSchema, type OpenEnum, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** A rule that a device offers with a request, such as to allow the same command from now on. */
export interface ApprovalSuggestion {
  /** Id of the rule. */
  id: string;
  /** The rule in words, as the device shows it. */
  text: string;
}

/** A request for permission to use a tool that waits for a decision. Texts come from the device or the model. Times are epoch milliseconds. */
export interface Approval {
  /** `tool_call_id` of the decision. It is unique in its conversation. */
  id: string;
  /** Address for the decision; `null` while the device is offline. */
  connectionId: string | null;
  /** Identity of the device. */
  deviceId: string;
  /** Agent that wants to use the tool; `null` for a conversation without an agent. */
  agentId: string | null;
  /** Conversation that waits. */
  conversationId: string;
  /** Name of the tool, such as `Bash`. */
  tool: string;
  /**
   * Arguments of the tool; `null` when the device reports none. With `inputTruncated`, the device runs more than this shows: each long text has only
   * its start and its end, with `…[5000 characters are not shown]…` between them, and `null` means that the arguments are too long to be shown.
   */
  input: Record<string, unknown> | null;
  /** Whether the arguments are longer than `input`. The device runs all of them. */
  inputTruncated: boolean;
  /** Why the device asks, if it says so. */
  reason: string | null;
  /** Rules that the device offers. Rules whose text is too long to be shown are left out. */
  suggestions: ApprovalSuggestion[];
  /** When the server learned of the request. */
  requestedAt: number;
  /** How long the request has waited, in milliseconds. */
  ageMs: number;
  /** When a policy denies the request; `null`: it waits until somebody decides. */
  expiresAt: number | null;
  /** `client_message_id` of the message whose turn makes the request; `null` when it is not known. */
  clientMessageId: string | null;
}

/** A request with the decision on it, in the problem `approval_decided`. */
export interface DecidedApproval extends Omit<Approval, "ageMs" | "expiresAt" | "input" | "inputTruncated"> {
  /** The decision. */
  decision: OpenEnum<"allow" | "deny">;
  /** Id of the key that decided, or `policy:` and the name of a policy. */
  decidedBy: string;
  /** When it was decided. */
  decidedAt: number;
}

/** One page of requests that wait for a decision. */
export interface ApprovalList {
  /** The requests, the oldest first. */
  approvals: Approval[];
  /** Whether there is another page: list again with `after` set to `cursor`. */
  hasNextPage: boolean;
  /** The end of this page; `null` when it is empty. */
  cursor: string | null;
}

/** The query of `listApprovals`. */
export type ListApprovalsQuery = Pick<ListEnvironmentsQuery, "after" | "limit">;

/** The query of `listApprovals` as it is written in a URL. */
export interface ListApprovalsWireQuery {
  /** `cursor` of the previous page. */
  after?: string;
  /** Requests in a page. */
  limit?: string;
}

/** The rules that decide on a request for permission when nobody does. They apply only to tools for which a device asks. */
export interface ApprovalPolicy {
  /** Names of tools that are always denied; `*` matches any characters. */
  readonly deniedTools: readonly string[];
  /** How long a request waits before it is denied, in milliseconds; `null`: until somebody decides. */
  readonly deadlineMs: number | null;
}

/** Schema of {@link ApprovalSuggestion}. */
export const ApprovalSuggestionSchema: WireObjectSchema<ApprovalSuggestion> = /* @__PURE__ */ wireObject(() => ({
  id: v.string(),
  text: v.string(),
}));

/** Schema of {@link Approval}. */
export const ApprovalSchema: WireObjectSchema<Approval> = /* @__PURE__ */ wireObject(() => ({
  id: v.string(),
  connectionId: v.nullable(v.string()),
  deviceId: v.string(),
  agentId: v.nullable(v.string()),
  conversationId: v.string(),
  tool: v.string(),
  input: v.nullable(v.custom<Record<string, unknown>>(isRecord, "must be an object")),
  inputTruncated: v.boolean(),
  reason: v.nullable(v.string()),
  suggestions: v.array(ApprovalSuggestionSchema),
  requestedAt: v.number(),
  ageMs: v.number(),
  expiresAt: v.nullable(v.number()),
  clientMessageId: v.nullable(v.string()),
}));

/** Schema of {@link ApprovalList}. */
export const ApprovalListSchema: WireObjectSchema<ApprovalList> = /* @__PURE__ */ wireObject(() => ({
  approvals: v.array(ApprovalSchema),
  hasNextPage: v.boolean(),
  cursor: v.nullable(v.string()),
}));

/** Decodes the query of `listApprovals`. */
export const ListApprovalsQuerySchema: WireObjectSchema<ListApprovalsQuery, ListApprovalsWireQuery> =
  /* @__PURE__ */ wireObject(() => ({
    after: v.exactOptional(IdentifierSchema),
    limit: v.exactOptional(ListLimitSchema),
  }));
