import { expect, test } from "vitest";
import { parseValkeyUrl } from "./valkey.ts";

test("parseValkeyUrl fills in defaults", () => {
  expect(parseValkeyUrl("valkey://keys.example")).toEqual({
    host: "keys.example",
    port: 6_379,
    usesTls: false,
    username: null,
    password: null,
    database: 0,
    label: "keys.example:6379",
  });
});

test("parseValkeyUrl reads user, password, port and database, percent-encoded characters included", () => {
  expect(parseValkeyUrl("rediss://proxy:p%40ss%2Fword@[::1]:7000/3")).toEqual({
    host: "::1",
    port: 7_000,
    usesTls: true,
    username: "proxy",
    password: "p@ss/word",
    database: 3,
    label: "[::1]:7000",
  });
  expect(parseValkeyUrl("redis://:secret@h/")).toMatchObject({ username: null, password: "secret", database: 0 });
});

test("only valkeys: and rediss: use TLS, and the label contains no password", () => {
  const schemes: readonly (readonly [string, boolean])[] = [
    ["valkey", false],
    ["redis", false],
    ["valkeys", true],
    ["rediss", true],
  ];
  for (const [scheme, usesTls] of schemes) {
    expect(parseValkeyUrl(`${scheme}://user:secret@h:1`)).toMatchObject({ usesTls, label: "h:1" });
  }
});

test("parseValkeyUrl returns null for anything that is not a Valkey URL", () => {
  const texts = ["", "h:6379", "http://h", "valkey:", "valkey://", "valkey:///0", "valkey://h/x", "valkey://h/0?db=1"];
  for (const text of [...texts, "valkey://h/0#x", "valkey://h:70000", "valkey://u:%ff@h"]) {
    expect(parseValkeyUrl(text)).toBeNull();
  }
});
