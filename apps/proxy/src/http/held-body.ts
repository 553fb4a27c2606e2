/**
 * Limits the memory of complete request bodies. A body is held until its request ends, which takes as long as the device or the upstream takes. A
 * send that only waits for the end of its turn has released its body already. When there is no memory left, a new large body is refused and no held
 * one is dropped: the request of a held body may have taken effect.
 */
import type { MemoryBudget, MemoryLimits } from "@letta-environments/environment-server";
import { type BodyBudget, bodyMemoryLimits, type HeldBodies, ownerName } from "./body-memory.ts";

/** Smaller bodies are not counted, in bytes: one for each request that may be in progress fits into memory. */
const leastHeldBytes = 64 * 1024;
/** Maximum memory of a value in a body besides its text, in bytes: that of an empty object in a list. */
const bytesPerValue = 64;

/** Creates a {@link BodyBudget}. The limits count for each of its two parts. */
export function createBodyBudget(
  createUnfinished: (limits: MemoryLimits) => MemoryBudget,
  limits: MemoryLimits = bodyMemoryLimits,
): BodyBudget {
  return { unfinished: createUnfinished(limits), held: createHeldBodies(limits) };
}

/**
 * Creates {@link HeldBodies}. The last quarter of the memory is for owners that use at most a quarter of their limit, so that a few cannot take all.
 */
function createHeldBodies({ maxOwnerBytes, maxTotalBytes }: MemoryLimits): HeldBodies {
  const owners = new Map<string, number>();
  let totalBytes = 0;

  function change(name: string, bytes: number): void {
    totalBytes += bytes;
    const owned = (owners.get(name) ?? 0) + bytes;
    if (owned === 0) owners.delete(name);
    else owners.set(name, owned);
  }

  return {
    take(owner, byteCount, value) {
      const size = byteCount + bytesPerValue * countValues(value);
      if (size < leastHeldBytes) return () => undefined;
      const name = ownerName(owner);
      // A valid body always has room on its own.
      const bytes = Math.min(size, maxOwnerBytes);
      const owned = (owners.get(name) ?? 0) + bytes;
      const shared = owned <= maxOwnerBytes / 4 ? maxTotalBytes : (maxTotalBytes * 3) / 4;
      if (owned > maxOwnerBytes || totalBytes + bytes > shared) return null;
      change(name, bytes);
      let isHeld = true;
      return () => {
        if (isHeld) change(name, -bytes);
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
