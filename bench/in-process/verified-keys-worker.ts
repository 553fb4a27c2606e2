/**
 * Runs on Node with `--expose-gc` and on Bun: the cost of a key check when as many keys as the first argument says are in use, in random
 * order, and the memory of the keys that the gateway has verified. Prints JSON.
 */
import process from "node:process";
import { createWarmAuthentication } from "./warm-authentication.ts";

const slices = 15;
const callsOfSlice = 20_000;

/** The output of the worker. */
export interface VerifiedKeys {
  readonly keyCount: number;
  /** Nanoseconds of CPU for a check, in each slice. */
  readonly ns: readonly number[];
  /** Checks that had to look the key up, of all checks. */
  readonly lookedUp: number;
  /** Memory of the verified keys, for each key. */
  readonly bytesPerKey: number;
}

const keyCount = Number(process.argv[2]);
const { authenticate, keyStore, keys } = await createWarmAuthentication(keyCount);
const withKeys = memory();
const [first = ""] = keys;
// A change of any key drops every verified one.
await keyStore.update(first.slice(4, 16), (record) => record);
await authenticate(`Bearer ${first}`);
const without = memory();
for (const key of keys) await authenticate(`Bearer ${key}`);

let lookedUp = 0;
const ns: number[] = [];
// The first slices warm up the engine.
for (let slice = -5; slice < slices; slice++) {
  const values = Array.from({ length: callsOfSlice }, () => `Bearer ${keys[Math.floor(Math.random() * keyCount)]}`);
  const before = process.cpuUsage();
  for (const value of values) {
    const authentication = authenticate(value);
    if (!(authentication instanceof Promise)) continue;
    if (slice >= 0) lookedUp += 1;
    await authentication;
  }
  const { user, system } = process.cpuUsage(before);
  if (slice >= 0) ns.push(((user + system) * 1_000) / callsOfSlice);
}
const result: VerifiedKeys = { keyCount, ns, lookedUp, bytesPerKey: (withKeys - without) / keyCount };
process.stdout.write(JSON.stringify(result));

function memory(): number {
  const { gc } = globalThis as { readonly gc?: () => void };
  if (gc === undefined) return process.memoryUsage().rss;
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
