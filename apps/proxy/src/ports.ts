import type { UpgradeDecision } from "@letta-environments/environment-server";
import type { Clock, HmacSha256, RandomId, Sha256 } from "@letta-environments/platform";
import type { PlainRequest, PlainResponse, Principal } from "@letta-environments/schema";
import type { AuditLog } from "./audit/log.ts";
import type { AuthenticateToken } from "./auth/jwt/authenticate-token.ts";
import type { JwtSettings, SettingProblem } from "./config/settings.ts";
import type { EnvironmentCache } from "./cache/environment-cache.ts";
import type { KeyActor } from "./keys/key-lifecycle.ts";
import type { KeyRecord } from "./keys/key-record.ts";
import type { RateLimiter } from "./rate-limit/create-rate-limiter.ts";
import type { ProxyEvent } from "./telemetry-events.ts";

/** Everything the pipeline needs from outside. A runtime chooses the adapters. */
export interface ProxyPorts {
  readonly clock: Clock;
  readonly digests: Digests;
  readonly keyStore: KeyStore;
  /** Takes note that a key was used; it only writes to memory. Absent where nobody asks for last uses. */
  readonly noteKeyUse?: (keyId: string) => void;
  readonly pepper: Pepper;
  readonly randomId: RandomId;
  readonly telemetry: Telemetry;
  readonly upstream: UpstreamFetch;
  /** Takes every send before it leaves; `null` writes nothing down. */
  readonly audit: AuditLog | null;
  /** Whose connection it is, where the environment server is embedded; for the audit log. */
  readonly findDeviceId?: FindDeviceId;
  /** Keeps answers with environments for a moment; `null` keeps nothing. */
  readonly environmentCache: EnvironmentCache | null;
  /** Decides rate limits; `null` limits nothing. */
  readonly rateLimiter: RateLimiter | null;
  /** Device sockets, where the environment server is embedded; `null` hides every endpoint of devices. */
  readonly deviceSockets: DeviceSockets | null;
  /** Reads the key set of tokens; needed where the configuration accepts tokens. */
  readonly fetchJwks?: JwksFetch;
  /** What judges the tokens of these settings, where it outlives this gateway; absent: made for it, with {@link fetchJwks}. */
  readonly tokenWayFor?: ((settings: JwtSettings) => AuthenticateToken) | undefined;
  /** What administering keys needs; absent where keys are not administered over HTTP. */
  readonly admin?: AdminPorts | undefined;
}

/** What administering keys needs beside what every request needs. */
export interface AdminPorts {
  readonly randomBytes: RandomBytes;
  readonly keyStoreFor: KeyStoreFor;
  /** Tenants that would share an upstream credential by a key that is not stored yet; absent where none can. */
  readonly findCredentialConflicts?: ((record: KeyRecord) => Promise<readonly SettingProblem[]>) | undefined;
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

/** A request as it leaves the gateway. An embedded server reads the principal; a server elsewhere reads the headers. */
export interface UpstreamRequest extends PlainRequest {
  readonly principal: Principal;
  /** Origin under which the gateway was called, such as `http://127.0.0.1:8787`; `null` when unknown. */
  readonly authority: string | null;
  /** What `authorization` holds, so that answers can be scrubbed of it and a refusal told apart; absent when nothing. */
  readonly credential?: UpstreamCredential;
}

/** With what a request authenticates at the upstream. */
export interface UpstreamCredential {
  readonly value: string;
  /** Told of a 401 or 403 of the upstream where the key is the caller's own; absent for the gateway's credential. */
  readonly onCallerRefused?: (status: 401 | 403) => void;
  /** Told of a success of the upstream where the key is the caller's own. */
  readonly onCallerAccepted?: () => void;
}

/** An upstream call without a usable answer. */
export interface UpstreamFailure {
  /**
   * `unreachable`: no byte of the request has left. `broken`: the connection failed, and the upstream may have acted.
   * `too_large`: the answer is larger than the gateway accepts.
   */
  readonly reason: "unreachable" | "broken" | "too_large";
  readonly cause: unknown;
}

/** Calls the upstream once. Follows no redirect, retries nothing, and stops when the signal aborts. */
export type UpstreamFetch = (request: UpstreamRequest, signal: AbortSignal) => Promise<PlainResponse | UpstreamFailure>;

/** Reads a key set (RFC 7517) as text. Follows no redirect; rejects on a failure, and when the signal aborts. */
export type JwksFetch = (url: string, signal: AbortSignal) => Promise<string>;

/** The device of a connection of a tenant; `null` when there is none. */
export type FindDeviceId = (tenant: string, connectionId: string) => Promise<string | null>;

/** Opens device sockets at the embedded environment server. */
export interface DeviceSockets {
  upgrade(request: PlainRequest, principal: Principal): Promise<UpgradeDecision>;
}

/** Takes what happened. It never throws. */
export type Telemetry = (event: ProxyEvent) => void;
