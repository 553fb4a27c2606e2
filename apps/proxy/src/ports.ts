import type { UpgradeDecision } from "@letta-environments/environment-server";
import type { Clock, HmacSha256, RandomId, Sha256 } from "@letta-environments/platform";
import type { PlainRequest, PlainResponse, Principal } from "@letta-environments/schema";
import type { KeyRecord } from "./keys/key-record.ts";
import type { ProxyEvent } from "./telemetry-events.ts";

/** Everything the pipeline needs from outside. A runtime chooses the adapters. */
export interface ProxyPorts {
  readonly clock: Clock;
  readonly digests: Digests;
  readonly keyStore: KeyStore;
  readonly pepper: Pepper;
  readonly randomId: RandomId;
  readonly telemetry: Telemetry;
  readonly upstream: UpstreamFetch;
  /** Device sockets, where the environment server is embedded; `null` hides every endpoint of devices. */
  readonly deviceSockets: DeviceSockets | null;
}

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

/** Where gateway keys live. Only digests are stored. */
export interface KeyStore {
  find(id: string): Promise<KeyRecord | null>;
  /** Every key, ordered by creation, then by id. */
  list(): Promise<readonly KeyRecord[]>;
  /** Adds a key. Rejects when the id is taken. */
  create(record: KeyRecord): Promise<void>;
  /** Changes a key in one atomic step and resolves with the new record; `null` when there is none. */
  update(id: string, change: (record: KeyRecord) => KeyRecord): Promise<KeyRecord | null>;
  /**
   * A number that changes soon (within 50 ms) after any key was changed, by whatever process. Synchronous and cheap: it is
   * asked on every request.
   */
  generation(): number;
}

/** A request as it leaves the gateway. An embedded server reads the principal; a server elsewhere reads the headers. */
export interface UpstreamRequest extends PlainRequest {
  readonly principal: Principal;
  /** Origin under which the gateway was called, such as `http://127.0.0.1:8787`; `null` when unknown. */
  readonly authority: string | null;
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

/** Opens device sockets at the embedded environment server. */
export interface DeviceSockets {
  upgrade(request: PlainRequest, principal: Principal): Promise<UpgradeDecision>;
}

/** Takes what happened. It never throws. */
export type Telemetry = (event: ProxyEvent) => void;
