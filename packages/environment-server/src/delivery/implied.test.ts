import { expect, test } from "vitest";
import { acknowledgementSupportOf } from "./implied.ts";

test("devices acknowledge inputs since 0.30.3; without a version it is unknown", () => {
  const of = (lettaCodeVersion: string): string => acknowledgementSupportOf({ lettaCodeVersion });
  expect(["0.19.5", "0.25.9", "0.30.2", "0.30.2-next.1"].map(of)).toEqual(["no", "no", "no", "no"]);
  expect(["0.30.3", "0.30.28", "0.32.18", "1.0.0", "0.31.0+build"].map(of)).toEqual([
    "yes",
    "yes",
    "yes",
    "yes",
    "yes",
  ]);
  expect(["", "next", "0.30", "0.30.3x", "9999999.0.0"].map(of)).toEqual(Array(5).fill("unknown"));
  expect([acknowledgementSupportOf(null), acknowledgementSupportOf({ os: "linux" })]).toEqual(["unknown", "unknown"]);
});
