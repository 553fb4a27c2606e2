/**
 * Runs on Node and on Bun: measures the steps of a warm key's authentication by CPU time, in interleaved slices, and prints
 * nanoseconds a call as JSON: one list of samples a step.
 */
import { readBearerToken } from "../../apps/proxy/src/auth/authentication.ts";
import { parseKeyId } from "../../apps/proxy/src/keys/key-format.ts";
import { createWarmAuthentication, digests } from "./warm-authentication.ts";
import { printSamples } from "./worker.ts";

const keyCount = 64;
const copiesOfEach = 16;
const callsInSlice = 20_000;

const { admits, keyStore, keys } = await createWarmAuthentication(keyCount);
const presented = Array.from({ length: copiesOfEach }, () => keys).flat();
// Texts as a socket brings them: flat, each one its own, never seen by a map before.
const asReceived = (text: string): string => Buffer.from(text, "latin1").toString("latin1");
const headers = presented.map((key) => asReceived(`Bearer ${key}`));
const tokens = presented.map(asReceived);
// The last character belongs to the checksum.
const malformed = presented.map((key) => asReceived(`Bearer ${key.slice(0, -1)}${key.endsWith("0") ? "1" : "0"}`));
const byDigest = new Map(keys.map((key) => [digests.sha256(key), key]));

/** Every step adds to this, so that the compiler cannot remove a call. */
let sum = 0;

/** A loop of its own for each step: one shared loop would have the engine treat all steps alike. */
const steps: Readonly<Record<string, () => void>> = {
  "empty loop": () => {
    for (let call = 0; call < callsInSlice; call++) sum += headers[call % headers.length]?.length ?? 0;
  },
  "SHA-256 of the key": () => {
    for (let call = 0; call < callsInSlice; call++) sum += digests.sha256(tokens[call % tokens.length] ?? "").length;
  },
  "SHA-256 and a Map": () => {
    for (let call = 0; call < callsInSlice; call++)
      sum += byDigest.get(digests.sha256(tokens[call % tokens.length] ?? ""))?.length ?? 0;
  },
  "reading the header": () => {
    for (let call = 0; call < callsInSlice; call++)
      sum += readBearerToken(headers[call % headers.length] ?? "").kind.length;
  },
  "offline check of the key (pattern, CRC-32)": () => {
    for (let call = 0; call < callsInSlice; call++) sum += parseKeyId(tokens[call % tokens.length] ?? "")?.length ?? 0;
  },
  "asking the store whether keys changed": () => {
    for (let call = 0; call < callsInSlice; call++) sum += keyStore.generation();
  },
  "authentication and authorisation, warm key": () => {
    for (let call = 0; call < callsInSlice; call++) {
      if (!admits(headers[call % headers.length] ?? "")) throw new Error("A good key was refused.");
      sum += 1;
    }
  },
  "refusal of a malformed key": () => {
    for (let call = 0; call < callsInSlice; call++) {
      if (admits(malformed[call % malformed.length] ?? "")) throw new Error("A malformed key was admitted.");
      sum += 1;
    }
  },
};

await printSamples(steps, () => callsInSlice);
if (!Number.isFinite(sum)) throw new Error("Nothing was summed.");
