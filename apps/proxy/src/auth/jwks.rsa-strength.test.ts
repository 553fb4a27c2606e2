import { generateKeyPair, exportJWK } from "jose";
import { expect, test } from "vitest";
import { rsaWeakness } from "./jwks.ts";

function base64url(value: bigint): string {
  const hex = value.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex").toString("base64url");
}

async function strongKey(modulusLength = 2_048) {
  const { publicKey } = await generateKeyPair("RS256", { modulusLength, extractable: true });
  return exportJWK(publicKey);
}

const primes = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
].map(BigInt);

/** A modulus as the faulty library makes one: a power of 65537 modulo the product of the primes. */
function rocaModulus(): bigint {
  const product = primes.reduce((left, right) => left * right, 1n);
  const power = 65_537n ** 12n % product;
  const start = (1n << 2_047n) / product;
  const modulus = (start + 1n) * product + power;
  return modulus % 2n === 0n ? modulus + product : modulus;
}

test.each([2_048, 3_072])("an ordinary RSA key of %i bits is accepted", async (bits) => {
  expect(rsaWeakness(await strongKey(bits))).toBeNull();
});

test.each([
  ["exponent 1", { e: base64url(1n) }, "exponent is less"],
  ["exponent 3", { e: base64url(3n) }, "exponent is less"],
  ["an even exponent", { e: base64url(65_538n) }, "exponent is not valid"],
  ["an enormous exponent", { e: base64url((1n << 300n) + 1n) }, "exponent is not valid"],
  ["a modulus of 1024 bits", { n: base64url((1n << 1_023n) + 1n) }, "fewer than 2048 bits"],
  ["a modulus that is padded to 2048 bits", { n: Buffer.alloc(256, 0).fill(7, 200).toString("base64url") }, "fewer"],
  ["an even modulus", { n: base64url(1n << 2_047n) }, "even"],
  ["a modulus of the faulty library", { n: base64url(rocaModulus()) }, "ROCA"],
  ["no modulus", { n: undefined }, "cannot be read"],
  ["a modulus that is not base64url", { n: "=$" }, "cannot be read"],
  ["a modulus of a megabyte", { n: "A".repeat(1_000_000) }, "cannot be read"],
])("an RSA key with %s is refused", async (_what, members, reason) => {
  expect(rsaWeakness({ ...(await strongKey()), ...members })).toContain(reason);
});
