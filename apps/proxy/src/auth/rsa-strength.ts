/**
 * Checks the strength of RSA public keys in a JWKS. With the exponent 1 a signature is the message itself, so anyone can sign. A
 * modulus below 2048 bits can be factored (NIST SP 800-131A), and so can the moduli of a faulty library (ROCA, CVE-2017-15361).
 */

/** The bounds of FIPS 186-5 section A.1.1. */
const minModulusBits = 2_048;
const minExponent = 65_537n;
const maxExponentBits = 256;
/** Longest modulus that is examined, in characters of base64url: 16,384 bits. */
const maxModulusLength = 2_731;

/** Returns why an RSA key (RFC 7518 section 6.3.1) must not be used, in a few words; `null` for a strong one. */
export function rsaWeakness({ n, e }: { readonly n?: unknown; readonly e?: unknown }): string | null {
  const modulus = readInteger(n);
  const exponent = readInteger(e);
  if (modulus === null || exponent === null) return "the modulus or the exponent cannot be read";
  if (modulus.toString(2).length < minModulusBits) return `the modulus has fewer than ${minModulusBits} bits`;
  if (exponent < minExponent) return `the exponent is less than ${minExponent}`;
  if (exponent % 2n === 0n || exponent.toString(2).length > maxExponentBits) return "the exponent is not valid";
  if (modulus % 2n === 0n) return "the modulus is even";
  if (hasRocaFingerprint(modulus)) return "the modulus comes from a faulty generator (ROCA)";
  return null;
}

/** The small primes of the published ROCA detector. */
const fingerprintPrimes: readonly number[] = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/**
 * Whether a modulus looks like the faulty library made it: its primes were powers of 65537 modulo a product of small primes, so
 * the modulus is such a power modulo each of them. By chance this happens with a probability of less than 1 in 10^20.
 */
function hasRocaFingerprint(modulus: bigint): boolean {
  return fingerprintPrimes.every((prime) => powersModulo(prime).has(Number(modulus % BigInt(prime))));
}

/** The powers of 65537 modulo a prime. */
function powersModulo(prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65_537) % prime) powers.add(power);
  return powers;
}

/** Reads an unsigned integer in base64url (RFC 7518 section 2); `null` when it is not one or is too long. */
function readInteger(text: unknown): bigint | null {
  if (typeof text !== "string" || text.length > maxModulusLength || !/^[A-Za-z0-9_-]+$/.test(text)) return null;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const digits = Array.from(binary, (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0"));
    return BigInt(`0x${digits.join("")}`);
  } catch {
    return null;
  }
}
