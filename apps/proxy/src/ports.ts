/**
 * The ports of the gateway: small interfaces between its decisions and the outside world. Adapters implement them and a
 * runtime chooses the adapters. This file imports no feature but the key record, which is the value that key stores hold.
 */
import type { DeviceAdministration, EnvironmentServer, refuseInput } from "@letta-environments/environment-server";
import type { Clock, HmacSha256, RandomId, Sha256 } from "@letta-environments/platform";
import type { PlainRequest, PlainResponse, Principal } from "@letta-environments/schema";
import type { KeyActor, KeyQuery, KeyRecord, KeySummary } from "./keys/key-record.ts";
import type { Telemetry } from "./telemetry.ts";

/** The ports that most features share. */
export interface GatewayPorts {
  /** Keeps work running after its request has ended (`waitUntil`); absent where the runtime does not need it. */
  readonly background?: (work: Promise<unknown>) => void;
  readonly clock: Clock;
  readonly digests: Digests;
  readonly hasExpired: HasExpired;
  readonly keyStore: KeyStore;
  /** Records in memory that a key was used; absent where last uses are not recorded. */
  readonly noteKeyUse?: (keyId: string) => void;
  readonly pepper: Pepper;
  /** Returns a number from 0 up to, but not including, 1. For delays, never for secrets. */
  readonly random: () => number;
  readonly randomId: RandomId;
  readonly telemetry: Telemetry;
}

/** Returns the store through which an actor changes keys. Each change is one call of `create` or `update`. */
export type KeyStoreFor = (actor: KeyActor) => KeyStore;

/**
 * Returns whether a credential has expired. Once seen as expired, a credential stays expired in this process unless it gets a later expiry.
 *
 * @param credential identifies the credential without revealing it
 * @param expiresAt epoch milliseconds; `null`: never
 */
export type HasExpired = (credential: string, expiresAt: number | null) => boolean;

/** Returns the administration of devices through which an actor changes them. */
export type DevicesFor = (actor: KeyActor) => DeviceAdministration;

/** Hash functions. They are synchronous, so that a cached key needs no promise. */
export interface Digests {
  readonly sha256: Sha256;
  readonly hmacSha256: HmacSha256;
  /** Compares in a time that depends only on the lengths. */
  constantTimeEqual(left: string, right: string): boolean;
}

/** Cryptographically strong random bytes. */
export type RandomBytes = (byteLength: number) => Uint8Array;

/** The secret for key digests, stored apart from the digests. */
export interface Pepper {
  /** Identifies the pepper without revealing it. Each record names the pepper of its digests. */
  readonly id: string;
  readonly secret: Uint8Array;
}

/**
 * Stores gateway keys as digests. Promises reject with KeyStoreUnavailableError when the store does not respond or refuses a change;
 * any other rejection is a defect.
 */
export interface KeyStore {
  /** `null` for an unknown id and for a damaged record. */
  find(id: string): Promise<KeyRecord | null>;
  /**
   * Every key, or those that a query selects, ordered by creation, then by id; without damaged records. Keys are read in parts of bounded length,
   * between which other work runs. For a query, no more of them are read than it needs.
   */
  list(query?: KeyQuery): Promise<readonly KeyRecord[]>;
  /** Summarises all keys at a time in epoch milliseconds. A damaged record may count. */
  summarize(nowMs: number): Promise<KeySummary>;
  /** Adds a key. Rejects when the id is taken. */
  create(record: KeyRecord): Promise<void>;
  /**
   * Changes a key atomically and resolves with the new record; `null` for an unknown id. A damaged record can only be revoked,
   * which replaces it by a readable one; any other change rejects with KeyRecordDamagedError.
   */
  update(id: string, change: (record: KeyRecord) => KeyRecord): Promise<KeyRecord | null>;
  /** Stores the last use of each key. It changes neither records nor the generation, and ignores unknown keys. */
  recordUse(uses: readonly KeyUse[]): Promise<void>;
  /**
   * Resolves with the last use of each key in epoch milliseconds, by id. A key that was never used is absent. With `ids`, other keys may be
   * absent too.
   */
  lastUses(ids?: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /**
   * Returns a number that changes soon after any process changes a key: within 20 ms on SQLite, within 5 s elsewhere. A store
   * that has not responded for a minute returns a new number on every call, so that cached keys are not trusted. Synchronous
   * and cheap, because every request calls it.
   */
  generation(): number;
}

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
   * `too_large`: the response is larger than the gateway accepts. `unexpected_continue`: the client could not read the response, because a
   * `100 Continue` came before it. `undecodable`: the body of the response is not in a content coding that the client can decode.
   */
  readonly reason: "unreachable" | "broken" | "too_large" | "unexpected_continue" | "undecodable";
  readonly cause: unknown;
  /** Present if the gateway was stopping, so that the failure says nothing about the upstream. */
  readonly isStopped?: true;
}

/** How far a call has got. */
export interface UpstreamProgress {
  /** False while it is certain that nothing was sent. Adapters that cannot tell do not change it. */
  isSent: boolean;
}

/** Calls a remote upstream once. Follows no redirect, never repeats a request, and stops when the signal aborts. */
export type UpstreamFetch = (
  request: UpstreamRequest,
  signal: AbortSignal,
  progress?: UpstreamProgress,
) => Promise<PlainResponse | UpstreamFailure>;

/** Reads a JWKS (RFC 7517) as text. Follows no redirect. Rejects on a failure, and when the signal aborts. */
export type JwksFetch = (url: string, signal: AbortSignal) => Promise<string>;

/** The environment server in the same process. */
export type EmbeddedServer = Pick<EnvironmentServer, "operate" | "findConnection">;

/** Returns how the environment server refuses an input before it looks up the device, or `null`. */
export type RefuseInput = typeof refuseInput;

/** Opens the sockets of devices and viewers at the embedded environment server. */
export type DeviceSockets = Pick<EnvironmentServer, "upgrade"> & Partial<Pick<EnvironmentServer, "redeemTicket">>;

/** A file of the console in one encoding. */
export interface ConsoleFile {
  readonly bytes: Uint8Array;
  readonly encoding: "br" | "gzip" | null;
  readonly mediaType: string;
  readonly entityTag: string;
  /** Whether the name changes with the content. */
  readonly isImmutable: boolean;
}

/** Reads a file by its name, in an encoding that `Accept-Encoding` allows. Returns `null` if the file does not exist. */
export type ReadConsoleFile = (name: string, acceptEncoding: string) => Promise<ConsoleFile | null>;

/** The pages of `/docs`, built by `scripts/docs-pages/`. */
export interface DocsPages {
  /** The strong entity tag of all pages together, with its quotes. */
  readonly entityTag: string;
  readonly contentSecurityPolicy: string;
  readonly index: string;
  /** The list of all problems. */
  readonly problems: string;
  readonly problemPages: Readonly<Record<string, string>>;
}

/** Loads the pages on the first call; `null` where they are missing. */
export type LoadDocs = () => Promise<DocsPages | null>;
