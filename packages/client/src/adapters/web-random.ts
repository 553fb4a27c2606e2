/** A number from 0 up to and without 1, for jitter only. */
export function webRandom(): number {
  return Math.random();
}

/** A random UUID (version 4). Pages outside a secure context have no `crypto.randomUUID`; their ids are as random. */
export function randomUuid(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  // Version and variant are given; a 0 or 1 takes four random bits, the 8 two.
  return "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
    (Number(digit) ^ (randomByte() & (15 >> (Number(digit) / 4)))).toString(16),
  );
}

function randomByte(): number {
  return crypto.getRandomValues(new Uint8Array(1))[0] ?? 0;
}
