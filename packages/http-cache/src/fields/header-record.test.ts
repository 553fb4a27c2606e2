import { expect, test } from "vitest";
import { fieldOf, withoutConnectionFields } from "./header-record.ts";

test("fields of the connection and those that Connection names are taken out", () => {
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

test("a field name that is a member of every object reads as absent", () => {
  expect(fieldOf({}, "constructor")).toBeUndefined();
});
