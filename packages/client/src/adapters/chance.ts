/** A number from 0 up to and without 1, for jitter only. */
export const random = (): number => Math.random();

/** A random text of 128 bits, for ids. It needs no secure context, as `crypto.randomUUID` does. */
export const randomId = (): string => crypto.getRandomValues(new Uint32Array(4)).join("-");
