import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeBase62, randomBase62 } from "./key-format.ts";
import { crc32 } from "./key-format.ts";
import { generateKey, generateKeyId, keyLength, parseKeyId } from "./key-format.ts";

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const newKey = (): string => generateKey(generateKeyId(randomBytes), randomBytes);

describe("generated keys", () => {
  test("a generated key has the prefix, the length and the given public id", () => {
    const id = generateKeyId(randomBytes);
    const key = generateKey(id, randomBytes);
    expect(key).toMatch(/^lek_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/);
    expect(key).toHaveLength(keyLength);
    expect(parseKeyId(key)).toBe(id);
  });

  test("generated keys are unique", () => {
    expect(new Set(Array.from({ length: 1_000 }, newKey)).size).toBe(1_000);
  });
});

describe("parsing of keys without the store", () => {
  test("parsing refuses a key in which any one character was changed", () => {
    const key = newKey();
    const position = fc.integer({ min: 0, max: keyLength - 1 });
    fc.assert(
      fc.property(position, fc.constantFrom(...base62.split("")), (index, character) => {
        fc.pre(key[index] !== character);
        expect(parseKeyId(key.slice(0, index) + character + key.slice(index + 1))).toBeNull();
      }),
    );
  });

  test("parsing refuses a key with two neighbouring characters swapped", () => {
    const key = newKey();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: keyLength - 2 }), (index) => {
        fc.pre(key[index] !== key[index + 1]);
        const swapped = `${key.slice(0, index)}${key[index + 1]}${key[index]}${key.slice(index + 2)}`;
        expect(parseKeyId(swapped)).toBeNull();
      }),
    );
  });

  test("parsing refuses any text that was not generated", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => parseKeyId(text) === null));
    fc.assert(
      fc.property(fc.stringMatching(/^lek_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/), (text) => parseKeyId(text) === null),
    );
  });

  test("parsing refuses a key with something before or after it", () => {
    const key = newKey();
    for (const text of ["", ` ${key}`, `${key} `, `${key}\n`, key.slice(1), key.slice(0, -1), key.toUpperCase()]) {
      expect(parseKeyId(text)).toBeNull();
    }
  });
});

describe("base62 and checksum", () => {
  test("the checksum is CRC-32 with the published check value", () => {
    expect(crc32("123456789")).toBe(0xcbf43926);
    expect(crc32("")).toBe(0);
  });

  test("every CRC-32 fits in six characters, and different ones differ", () => {
    expect(encodeBase62(0xffffffff, 6)).toBe("4gfFC3");
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 0xffffffff }), (left, right) => {
        expect(encodeBase62(left, 6)).toHaveLength(6);
        expect(encodeBase62(left, 6) === encodeBase62(right, 6)).toBe(left === right);
      }),
    );
  });

  test("every character is equally likely over all byte values", () => {
    const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);
    const text = randomBase62(248, () => everyByte);
    const counts = base62.split("").map((letter) => text.split(letter).length - 1);
    expect(new Set(counts)).toEqual(new Set([4]));
  });
});
