/**
 * Limits the memory of request bodies that are still arriving. Each endpoint limits the size of one body, but a caller can start many requests and
 * never send the last byte of any. So received bytes are counted per key and in total. Over a limit, the largest body of a key that uses too much
 * is dropped. All unverified callers share one account: with an account for each made-up credential, one sender could use up the memory of everyone.
 */
import type { MemoryAccount, MemoryBudget, MemoryLimits } from "@letta-environments/environment-server";
import type { Principal } from "@letta-environments/schema";

/** Memory for unfinished bodies, and the same for held ones, in bytes: per key and in total. */
export const bodyMemoryLimits: MemoryLimits = { maxOwnerBytes: 16 * 1024 * 1024, maxTotalBytes: 64 * 1024 * 1024 };

/** Which account a body is charged to: the key, the operator, or one shared account for unverified credentials. */
export type BodyOwner = Pick<Principal, "tenant" | "keyId"> | "operator" | "unverified";

/** Returns the name of an owner. No tenant is empty, so no key has the name of one of the other owners. */
export function ownerName(owner: BodyOwner): string {
  return typeof owner === "string" ? owner : `${owner.tenant} ${owner.keyId}`;
}

/** The memory of bodies that have arrived and are held. */
export interface HeldBodies {
  /**
   * Takes memory for a body of `byteCount` bytes and for the values in it. Returns a function that releases it, and may be called more than once;
   * `null` if there is no room.
   */
  take(owner: BodyOwner, byteCount: number, value: unknown): (() => void) | null;
  /** Bytes of all bodies. */
  readonly totalBytes: number;
}

/** The memory of all bodies, incomplete and complete. */
export interface BodyBudget {
  readonly unfinished: MemoryBudget;
  readonly held: HeldBodies;
}

/** Where the bytes of a body are counted, and for whom. */
export interface BodyMemory {
  /** `null`: nothing is counted. */
  readonly budget: BodyBudget | null;
  readonly owner: BodyOwner;
}

/** The limits on a body. */
export interface BodyLimits {
  /** Largest body, in bytes. */
  readonly maxBytes: number;
  /** Absent: its bytes are not counted while it is unfinished. */
  readonly memory?: BodyMemory;
}

/** Why a body was not read: it is too large, there is no memory for it before it is complete, or its caller disconnected. */
export type UnreadBody = "too_large" | "no_room" | "aborted";

/** Memory that a chunk takes besides its bytes, at most, as measured on Node.js. */
const overheadBytes = 512;

/** The memory of one body until its end. */
export class UnfinishedBody {
  readonly #memory: BodyMemory | undefined;
  readonly #drop: () => void;
  #account: MemoryAccount | null = null;
  #bytes = 0;
  #chunks = 0;

  /** @param drop Called once when there is no room for the body. */
  constructor(memory: BodyMemory | undefined, drop: () => void) {
    this.#memory = memory;
    this.#drop = drop;
  }

  /** Counts a chunk that is kept. Even a body with all declared bytes is unfinished: the end of an HTTP/2 stream can be withheld. */
  received(byteCount: number): void {
    this.#bytes += byteCount;
    this.#chunks += 1;
    if (this.#memory === undefined) return;
    const { budget, owner } = this.#memory;
    if (budget === null) return;
    this.#account ??= budget.unfinished.open(ownerName(owner), this.#drop);
    budget.unfinished.resize(this.#account, this.#bytes + overheadBytes * this.#chunks);
  }

  /** Releases the memory: the body is complete, or is not read any further. */
  end(): void {
    if (this.#account !== null) this.#memory?.budget?.unfinished.close(this.#account);
  }
}
