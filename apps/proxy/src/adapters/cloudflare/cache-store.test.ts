import type { CacheEntry } from "@letta-environments/http-cache";
import { expect, test } from "vitest";
import { decodeEntry, encodeEntry } from "./cache-store.ts";

function entryOf(body: Uint8Array, name: string): CacheEntry {
  return {
    status: 200,
    headers: { "x-name": name },
    body,
    vary: ["accept"],
    variant: [`=${name}`],
    receivedAtMs: 1,
    initialAgeMs: 2,
    freshForMs: 3,
    staleWhileRevalidateMs: 4,
    staleIfErrorMs: 5,
    validatesAlways: false,
    isNeverStale: false,
    isImmutable: false,
    keepUntilMs: 6,
    groups: ["g"],
  };
}

test("decoding returns the encoded entry, including every byte of the body", () => {
  const entries = [
    {
      entry: entryOf(
        Uint8Array.from({ length: 256 }, (_, index) => index),
        "naïve ☂",
      ),
      stamps: ["a", "b"],
    },
    { entry: entryOf(new Uint8Array(), "empty"), stamps: [] },
    { entry: entryOf(new TextEncoder().encode("last"), "last"), stamps: ["c"] },
  ];
  for (const { entry, stamps } of entries) {
    const read = decodeEntry(encodeEntry({ entry, stamps }));
    expect({ ...read, entry: { ...read.entry, body: [...read.entry.body] } }).toEqual({
      entry: { ...entry, body: [...entry.body] },
      stamps,
    });
  }
});
