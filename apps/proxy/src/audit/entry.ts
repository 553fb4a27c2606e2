/**
 * The entries of the audit log: the life of each writer, every send, every control of a conversation, and every change of a key or a
 * device. Stored entries are never changed, so neither are the members here.
 */
import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import type { ControlOperation, EnvironmentPatch } from "@letta-environments/schema";
import type { DeviceChangeFacts } from "../upstream/upstream.ts";
import type { KeyActor } from "../keys/key-record.ts";

/** An entry of the audit log. No entry contains a key, and only `send_started` may contain message content. */
export type AuditEntry =
  | WriterEntry
  | RetentionEntry
  | SendEntry
  | DecisionEntry
  | ModeSwitchEntry
  | ControlEntry
  | ViewerCommandEntry
  | OmittedRefusalsEntry
  | KeyEntry
  | DeviceEntry;

/** The life of a writer: one process that appends to its own chain. */
export type WriterEntry =
  | {
      readonly type: "writer_opened";
      readonly version: string;
      /** Checkpoints of earlier chains that no later chain has noted. A noted chain cannot be cut unnoticed. */
      readonly ends: readonly { readonly writer: string; readonly sequence: number; readonly hash: string }[];
      /** Whether the directory of chains had a valid seal when this chain was added. */
      readonly directoryIntact: boolean;
    }
  /** The writer stopped in order. Without this entry its process was killed, or is still running. */
  | { readonly type: "writer_closed" };

/** Old records were dropped from the log. */
export interface RetentionEntry {
  readonly type: "records_dropped";
  /** `null`: the gateway itself, as configured. */
  readonly actor: KeyActor | null;
  /** Records before this time were dropped. Epoch milliseconds. */
  readonly before: number;
  readonly records: number;
  /** The number of chains with dropped records. */
  readonly chains: number;
}

/** The key that acts on a conversation, and its request. */
export interface EntryFacts {
  /** `x-request-id` of the response. Callers may choose it. */
  readonly requestId: string;
  readonly tenant: string;
  readonly keyId: string;
  readonly owner: string;
  readonly connectionId: string;
  /** `null` where it was not known yet. */
  readonly deviceId: string | null;
  readonly agentId: string | null;
  readonly conversationId: string | null;
}

/** The result of a send or a control operation. */
export interface ActionResult {
  readonly status: number;
  /** `errorCode` of a problem; `null` for a success. */
  readonly code: string | null;
}

/** The sender, the target and the messages of a send. */
export interface SendFacts extends EntryFacts {
  /** Joins the entries of one send. */
  readonly sendId: string;
  /** `client_message_id` of each message. */
  readonly messageIds: readonly string[];
  /** The body decides on approval requests. */
  readonly answersApproval: boolean;
  /** The decisions of the body; absent where it has none. */
  readonly decisions?: readonly { readonly toolCallId: string; readonly approve: boolean }[];
}

/** A send. `send_started` is on disk before the send leaves, and `send_finished` follows once its result is known. */
export type SendEntry =
  | ({
      readonly type: "send_started";
      /** The messages themselves, only when the configuration says so. */
      readonly content?: unknown;
    } & SendFacts)
  | ({ readonly type: "send_refused" } & ActionResult & SendFacts)
  | ({
      readonly type: "send_finished";
      readonly sendId: string;
      /** The result of an earlier send with the same message id was returned. */
      readonly replayed: boolean;
    } & ActionResult);

/** The conversation that is controlled, by which key, and the request. */
export interface ControlFacts extends EntryFacts {
  /** Joins the entries of one request. */
  readonly controlId: string;
  readonly operation: ControlOperation;
  /** The mode, the directory, the run or the item of the queue that the request names; `null` for none. */
  readonly value: string | null;
}

/** Control of a conversation. `control_started` is on disk before the command leaves, and `control_finished` follows. */
export type ControlEntry =
  | ({ readonly type: "control_started" } & ControlFacts)
  | ({ readonly type: "control_refused" } & ActionResult & ControlFacts)
  | ({
      readonly type: "control_finished";
      readonly controlId: string;
      /** The report of the device; `null` when it reported nothing. */
      readonly effect: Readonly<Record<string, unknown>> | null;
    } & ActionResult);

/** A conversation on a device; `agentId` is `null` for one without an agent. */
interface ConversationFacts extends Pick<EntryFacts, "tenant" | "connectionId" | "agentId"> {
  readonly deviceId: string;
  readonly conversationId: string;
}

/** A decision on a request for permission, once it was sent to the device. */
export interface DecisionEntry extends ConversationFacts {
  readonly type: "approval_decided";
  readonly toolCallId: string;
  readonly tool: string;
  readonly decision: "allow" | "deny";
  /** The key that decided; `null` for a policy. */
  readonly keyId: string | null;
  /** The policy that decided: `deadline` or `denied_tool`; `null` for a key. */
  readonly policy: string | null;
  /** Whether the device accepted it. */
  readonly outcome: "accepted" | "unknown";
}

/** A switch to the mode that a key sets before its messages, once the command has left. */
export interface ModeSwitchEntry extends ConversationFacts {
  readonly type: "mode_switched";
  readonly mode: string;
  readonly keyId: string;
  /** Whether the device confirmed the mode, rejected it, or did not respond. */
  readonly outcome: "done" | "rejected" | "unknown";
}

/**
 * A frame of a viewer that corresponds to no operation of the API. The entry is on disk before the frame is forwarded, and does not
 * contain its content.
 */
export interface ViewerCommandEntry extends EntryFacts {
  readonly type: "viewer_command";
  readonly deviceId: string;
  /** The type of the frame, such as `read_file`. */
  readonly command: string;
  /** Why the frame was refused; `null`: it was sent to the device. */
  readonly code: string | null;
}

/** Refused sends, controls and frames of viewers without separate records, see `refusals.ts`. */
export interface OmittedRefusalsEntry {
  readonly type: "refusals_omitted";
  /** `null`: for keys beyond those that are counted. */
  readonly tenant: string | null;
  /** `null`: for several keys of the tenant. */
  readonly keyId: string | null;
  readonly omitted: number;
  /** When the counted refusals began, in epoch milliseconds. */
  readonly since: number;
}

/** The kinds of changes of a key. */
export const keyActs = [
  "created",
  "updated",
  "rotated",
  "disabled",
  "enabled",
  "revoked",
  "signed_in",
  "signed_out",
] as const;

export type KeyAct = (typeof keyActs)[number];

/** A change of a key. `key_change_started` is on disk before the change is made. Abandoned: the key does not exist, or a rule forbids the change. */
export type KeyEntry =
  | { readonly type: "key_change_started" | "key_change_abandoned"; readonly actor: KeyActor; readonly keyId: string }
  | {
      /** Unknown: the store did not respond, so the change may have been made or not. */
      readonly type: "key_changed" | "key_change_unknown";
      readonly actor: KeyActor;
      readonly keyId: string;
      readonly tenant: string;
      readonly act: KeyAct;
      /** The changed members with their new values, without secrets; all members of a new key. */
      readonly members: Readonly<Record<string, unknown>>;
    };

/** The device of a change, and who makes it. */
export interface DeviceChange extends Omit<DeviceChangeFacts, "labels"> {
  readonly actor: KeyActor;
}

/**
 * A change of a device. `device_change_started` is on disk before the change is made. Abandoned: the device does not exist, or a rule forbids the
 * change. Unknown: the upstream did not respond.
 */
export type DeviceEntry =
  | ({ readonly type: "device_change_started" | "device_change_abandoned" | "device_change_unknown" } & DeviceChange)
  | ({
      readonly type: "device_changed";
      /** The key that owned the device before; `null`: none. */
      readonly ownerKeyId: string | null;
      /** The names of the device's rows. */
      readonly connectionNames: readonly string[];
      /** The labels that were assigned; absent members stayed as they were. */
      readonly labels?: EnvironmentPatch;
    } & DeviceChange);

const policyPrefix = "policy:";

/**
 * Returns the entry of what the embedded server has sent to a device for a key or a policy: a decision on a request for permission, or a switch to
 * the mode that a key sets before its messages. The send that caused it is recorded before it. `null` for any other event.
 */
export function entryOf(event: EnvironmentServerEvent): DecisionEntry | ModeSwitchEntry | null {
  if (event.type === "approval_decided") {
    const { decidedBy, behavior: decision, agentId, environmentId: _environmentId, ...facts } = event;
    const policy = decidedBy.startsWith(policyPrefix) ? decidedBy.slice(policyPrefix.length) : null;
    return { ...facts, agentId: agentId || null, decision, keyId: policy === null ? decidedBy : null, policy };
  }
  if (event.type !== "mode_switched") return null;
  const { agentId, environmentId: _environmentId, ...facts } = event;
  return { ...facts, agentId: agentId || null };
}
