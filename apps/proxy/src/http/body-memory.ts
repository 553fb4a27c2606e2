/**
 * Limits the memory of request bodies, per key and in total, and divides it among tenants. All unverified callers share one account: with an account
 * for each made-up credential, one sender could use up the memory of everyone.
 *
 * Unfinished bodies are still arriving. Each endpoint limits the size of one body, but a caller can start many requests and never send the last byte
 * of any. So received bytes are counted, and over a limit the largest body of a key that uses too much is dropped.
 *
 * Held bodies are complete. A body is held until its request ends, which takes as long as the device or the upstream takes. A send that only waits for
 * the end of its turn has released its body already. When there is no memory left, a new large body is refused and no held one is dropped: the
 * request of a held body may have taken effect.
 */
import type { MemoryAccount, MemoryBudget, MemoryLimits } from "@letta-environments/environment-server";
import type { MemoryOwner } from "@letta-environments/schema";

/** Memory for unfinished bodies, and the same for held ones, in bytes: per key and in total. */
const bodyMemoryLimits: MemoryLimits = { maxOwnerBytes: 16 * 1024 * 1024, maxTotalBytes: 64 * 1024 * 1024 };

/** Which account a body is charged to: the key, the operator, or one shared account for unverified credentials. */
export type BodyOwner = MemoryOwner | "operator" | "unverified";

/** The operator and unverified callers count as a tenant each. No tenant has such a name. */
function toMemoryOwner(owner: BodyOwner): MemoryOwner {
  return typeof owner === "string" ? { tenant: `(${owner})`, keyId: "" } : owner;
}

/** The memory of bodies that are held. */
interface HeldBodies {
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

export interface BodyLimits {
  /** Largest body, in bytes. */
  readonly maxBytes: number;
  /** Absent: its bytes are not counted while it is unfinished. */
  readonly memory?: BodyMemory;
}

/**
 * Why a body was not read: it is too large, there is no memory for it before it is complete, or its caller disconnected; or the HTTP server has refused
 * it and responded, because it did not arrive in time or is malformed.
 */
export type UnreadBody = "too_large" | "no_room" | "aborted" | "late" | "malformed";

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
    this.#account ??= budget.unfinished.open(toMemoryOwner(owner), this.#drop);
    budget.unfinished.resize(this.#account, this.#bytes + overheadBytes * this.#chunks);
  }

  /** Releases the memory: the body is complete, or is not read any further. */
  end(): void {
    if (this.#account !== null) this.#memory?.budget?.unfinished.close(this.#account);
  }
}

/** Creates a {@link BodyBudget}. The limits count for each of its two parts. */
export function createBodyBudget(
  createUnfinished: (limits: MemoryLimits) => MemoryBudget,
  limits: MemoryLimits = bodyMemoryLimits,
): BodyBudget {
  return { unfinished: createUnfinished(limits), held: createHeldBodies(limits) };
}

/** Smaller bodies are not counted, in bytes: one for each request that may be in progress fits into memory. */
const minHeldBytes = 64 * 1024;
/** Maximum memory of a value in a body besides its text, in bytes: that of an empty object in a list. */
const bytesPerValue = 64;

/**
 * Creates {@link HeldBodies}. The last quarter of the memory is for keys that use at most a quarter of their limit, so that a few cannot take all. The
 * last eighth is for tenants that use no more than that, so that none can take all with many keys.
 */
function createHeldBodies({ maxOwnerBytes, maxTotalBytes }: MemoryLimits): HeldBodies {
  /** By tenant, and by key. */
  const owned = new Map<string, number>();
  const [small, most, nearlyAll] = [maxOwnerBytes / 4, (maxTotalBytes * 3) / 4, (maxTotalBytes * 7) / 8];
  let totalBytes = 0;

  function change(names: readonly string[], bytes: number): void {
    totalBytes += bytes;
    for (const name of names) {
      const changed = (owned.get(name) ?? 0) + bytes;
      if (changed === 0) owned.delete(name);
      else owned.set(name, changed);
    }
  }

  return {
    take(owner, byteCount, value) {
      const size = byteCount + bytesPerValue * countValues(value);
      if (size < minHeldBytes) return () => undefined;
      const { tenant, keyId } = toMemoryOwner(owner);
      const key = JSON.stringify([tenant, keyId]);
      // A valid body always has room on its own.
      const bytes = Math.min(size, maxOwnerBytes);
      const [ofTenant, ofKey] = [(owned.get(tenant) ?? 0) + bytes, (owned.get(key) ?? 0) + bytes];
      const shared = ofTenant <= small ? maxTotalBytes : ofKey <= small ? nearlyAll : most;
      if (ofKey > maxOwnerBytes || totalBytes + bytes > shared) return null;
      change([tenant, key], bytes);
      let isHeld = true;
      return () => {
        if (isHeld) change([tenant, key], -bytes);
        isHeld = false;
      };
    },
    get totalBytes() {
      return totalBytes;
    },
  };
}

function countValues(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  let count = 1;
  for (const member of Object.values(value)) count += countValues(member);
  return count;
}
