import { expect, test } from "vitest";
import { readTarHeader, tarHeader } from "./tar.ts";

test("a header is read back, and one changed byte makes it invalid", () => {
  const header = tarHeader({ name: "proxy.sqlite", bytes: 1_234_567 }, 1_795_676_400);
  expect(readTarHeader(header)).toEqual({ name: "proxy.sqlite", bytes: 1_234_567 });
  for (const index of [0, 124, 150, 156, 300, 511]) {
    const edited = header.slice();
    edited[index] = (edited[index] ?? 0) + 1;
    expect(readTarHeader(edited)).toBeNull();
  }
});

test("zero blocks end an archive, and links, directories and other formats are not accepted", () => {
  expect(readTarHeader(new Uint8Array(512))).toBe("end");
  expect(readTarHeader(new Uint8Array(512).fill(1))).toBeNull();
});
