import { createKey } from "../../src/keys/key-lifecycle.ts";
import type { KeyRecord } from "../../src/keys/key-record.ts";
import { testMint } from "./test-proxy.ts";

/** A record of a key that may list, as the command line would store it. */
export function createTestKeyRecord(overrides: Partial<KeyRecord> = {}, createdAt: number = 1): KeyRecord {
  const { record } = createKey({ name: "n", tenant: "default", scopes: ["list"] }, createdAt, testMint);
  return { ...record, ...overrides };
}
