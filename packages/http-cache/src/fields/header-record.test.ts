import { expect, test } from "vitest";
import { fieldOf, withoutConnectionFields } from "./header-record.ts";

test("connection fields and the fields that Connection names are removed", () => {
  const headers = {
    connection: "A, x-b",
    a: "1",
    "x-b": "2",
    c: "3",
    te: "x",
    "keep-alive": "1",
    "proxy-authenticate": "y",
  };
  expect(withoutConnectionFields(headers)).toEqual({ c: "3" });
});

test("a field name that is an Object.prototype member reads as absent", () => {
  expect(fieldOf({}, "constructor")).toBeUndefined();
});
