import type { KeyActor } from "../keys/key-lifecycle.ts";

/** What is written to the audit log. No entry holds a key, and none but `send_started` may hold what was said. */
export type AuditEntry = WriterEntry | SendEntry | KeyEntry;

/** The life of a writer: one process that appends to a chain of its own. */
export type WriterEntry =
  | {
      readonly type: "writer_opened";
      readonly version: string;
      /** Ends of earlier chains, as far as no later chain had noted them: none of them can be cut any more. */
      readonly ends: readonly { readonly writer: string; readonly sequence: number; readonly hash: string }[];
      /** Whether the list of chains carried a good seal when this one was added. */
      readonly directoryIntact: boolean;
    }
  /** The writer ended in order; without this entry its process was killed, or is still running. */
  | { readonly type: "writer_closed" };

/** Who sends what to which device. */
export interface SendFacts {
  /** Ties the entries of one send together. */
  readonly sendId: string;
  /** `x-request-id` of the answer. Callers may choose it. */
  readonly requestId: string;
  readonly tenant: string;
  readonly keyId: string;
  readonly owner: string;
  readonly connectionId: string;
  /** `null` where it was not known yet. */
  readonly deviceId: string | null;
  readonly agentId: string | null;
  readonly conversationId: string | null;
  /** `client_message_id` of each message. */
  readonly messageIds: readonly string[];
  /** The body answers requests for approval. */
  readonly answersApproval: boolean;
}

/** A send. Every one that leaves has `send_started` on disk before it does, and `send_finished` once its result is known. */
export type SendEntry =
  | ({
      readonly type: "send_started";
      /** The messages themselves; only when the configuration asks for them. */
      readonly content?: unknown;
    } & SendFacts)
  | ({ readonly type: "send_refused"; readonly status: number; readonly code: string | null } & SendFacts)
  | {
      readonly type: "send_finished";
      readonly sendId: string;
      readonly status: number;
      /** `errorCode` of a problem; `null` for a success. */
      readonly code: string | null;
      /** The result is that of an earlier send with the same message id. */
      readonly replayed: boolean;
    };

/** What was done to a key. */
export type KeyAct = "created" | "updated" | "rotated" | "disabled" | "enabled" | "revoked";

/** A change of a key. Every one has `key_change_started` on disk before it is made. */
export type KeyEntry =
  | { readonly type: "key_change_started"; readonly actor: KeyActor; readonly keyId: string }
  | {
      readonly type: "key_changed";
      readonly actor: KeyActor;
      readonly keyId: string;
      readonly tenant: string;
      readonly act: KeyAct;
      /** Members with their new values, but for secrets; a new key shows all. */
      readonly members: Readonly<Record<string, unknown>>;
    }
  /** It was to be made, and the store did not say whether it was. */
  | {
      readonly type: "key_change_unknown";
      readonly actor: KeyActor;
      readonly keyId: string;
      readonly tenant: string;
      readonly act: KeyAct;
      readonly members: Readonly<Record<string, unknown>>;
    }
  /** It was not made: there is no such key, or a rule forbade it. */
  | { readonly type: "key_change_abandoned"; readonly actor: KeyActor; readonly keyId: string };
