/**
 * The ports of the gateway: small interfaces between its decisions and the outside world. Adapters implement them and a
 * runtime chooses the adapters. This file imports no feature but the key record, which is the value that key stores hold.
 */
import type { EnvironmentServer, UpgradeDecision } from "@letta-environments/environment-server";
import type { Clock, HmacSha256, RandomId, Sha256 } from "@letta-environments/platform";
import type { PlainRequest, PlainResponse, Principal } from "@letta-environments/schema";
import type { KeyActor, KeyRecord } from "./keys/key-record.ts";
import type { Telemetry } from "./telemetry.ts";

/** The ports that most features share. */
export interface GatewayPorts {
  readonly clock: Clock;
  readonly digests: Digests;
  readonly keyStore: KeyStore;
  /** Records in memory that a key was used; absent where last uses are not recorded. */
  readonly noteKeyUse?: (keyId: string) => void;
  readonly pepper: Pepper;
  readonly randomId: RandomId;
  readonly telemetry: Telemetry;
}

/** The store through which an actor changes keys: each change is one call of its `create` or `update`. */
export type KeyStoreFor = (actor: KeyActor) => KeyStore;

/** Hashes of the runtime. They are synchronous: a warm request waits for nothing. */
export interface Digests {
  readonly sha256: Sha256;
  readonly hmacSha256: HmacSha256;
  /** Compares in a time that depends on the lengths alone. */
  constantTimeEqual(left: string, right: string): boolean;
}

/** Cryptographically strong random bytes. */
export type RandomBytes = (byteLength: number) => Uint8Array;

/** The secret that key digests are made with, kept apart from the digests themselves. */
export interface Pepper {
  /** Names the pepper without giving it away, so that a record tells which one it needs. */
  readonly id: string;
  readonly secret: Uint8Array;
}

/**
 * Where gateway keys live. Only digests are stored. What resolves rejects with KeyStoreUnavailableError when the store gives no
 * answer; any other rejection is a defect.
 */
export interface KeyStore {
  /** A damaged record is none. */
  find(id: string): Promise<KeyRecord | null>;
  /** Every key, ordered by creation, then by id; without damaged records. */
  list(): Promise<readonly KeyRecord[]>;
  /** Adds a key. Rejects when the id is taken. */
  create(record: KeyRecord): Promise<void>;
  /**
   * Changes a key in one atomic step and resolves with the new record; `null` when there is none. A damaged record can only be
   * revoked, by which a readable one takes its place; any other change of it rejects with KeyRecordDamagedError.
   */
  update(id: string, change: (record: KeyRecord) => KeyRecord): Promise<KeyRecord | null>;
  /** Keeps the latest use of each key. It changes no record and no generation; an unknown key is passed over. */
  recordUse(uses: readonly KeyUse[]): Promise<void>;
  /** When each key was used last, in epoch milliseconds by id; a key that was never used is absent. */
  lastUses(): Promise<ReadonlyMap<string, number>>;
  /**
   * A number that changes soon after any key was changed, by whatever process: within 20 ms on SQLite, within 5 s elsewhere. A
   * store that has had no answer for a minute changes it with every call, so that nothing remembered is trusted.
   * Synchronous and cheap: it is asked on every request.
   */
  generation(): number;
}

/** That a key was used. */
export interface KeyUse {
  readonly id: string;
  /** Epoch milliseconds. */
  readonly usedAt: number;
}

/** A request to a remote upstream. */
export interface UpstreamRequest extends PlainRequest {
  /** The caller for whom the request is made. It is not sent. */
  readonly principal: Principal;
  /** The credential in `authorization`; absent for none. */
  readonly credential?: UpstreamCredential;
}

/** The credential with which a request authenticates at a remote upstream. */
export interface UpstreamCredential {
  readonly value: string;
  /** Called when the upstream refuses the caller's own key with 401 or 403; absent for the gateway's credential. */
  readonly onCallerRefused?: (status: 401 | 403) => void;
  /** Called when the upstream accepts the caller's own key; absent for the gateway's credential. */
  readonly onCallerAccepted?: () => void;
}

/** An upstream call without a usable response. */
export interface UpstreamFailure {
  /**
   * `unreachable`: no byte of the request was sent. `broken`: the connection failed, and the upstream may have acted.
   * `too_large`: the response is larger than the gateway accepts.
   */
  readonly reason: "unreachable" | "broken" | "too_large";
  readonly cause: unknown;
}

/** Calls a remote upstream once. Follows no redirect, never repeats a request, and stops when the signal aborts. */
export type UpstreamFetch = (request: UpstreamRequest, signal: AbortSignal) => Promise<PlainResponse | UpstreamFailure>;

/** Reads a key set (RFC 7517) as text. Follows no redirect; rejects on a failure, and when the signal aborts. */
export type JwksFetch = (url: string, signal: AbortSignal) => Promise<string>;

/** The environment server in the same process. */
export type EmbeddedServer = Pick<EnvironmentServer, "operate" | "findConnection">;

/** Opens device sockets at the embedded environment server. */
export interface DeviceSockets {
  upgrade(request: PlainRequest, principal: Principal): Promise<UpgradeDecision>;
}
