import type { StoredResponse } from "@letta-environments/http-cache";
import { expect, test } from "vitest";
import { decodeEntry, encodeEntry } from "./cache-entry.ts";

function answer(body: Uint8Array, name: string): StoredResponse {
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

test("what is read is what was written, with every byte of the body", () => {
  const answers = [
    {
      response: answer(
        Uint8Array.from({ length: 256 }, (_, index) => index),
        "naïve ☂",
      ),
      stamps: ["a", "b"],
    },
    { response: answer(new Uint8Array(), "empty"), stamps: [] },
    { response: answer(new TextEncoder().encode("last"), "last"), stamps: ["c"] },
  ];
  for (const { response, stamps } of answers) {
    const read = decodeEntry(encodeEntry({ response, stamps }));
    expect({ ...read, response: { ...read.response, body: [...read.response.body] } }).toEqual({
      response: { ...response, body: [...response.body] },
      stamps,
    });
  }
});
