import { expect, test } from "vitest";
import { formatRoute, parseRoute } from "./route.ts";

test("a view and its filters round-trip through the URL", () => {
  const parameters = { q: "a&b=c #d", status: "online", tag: "ci" };
  expect(parseRoute(formatRoute("devices", { parameters }))).toEqual({ view: "devices", id: null, parameters });
  expect(parseRoute(formatRoute("device", { id: "a/b?c%" }))).toEqual({ view: "device", id: "a/b?c%", parameters: {} });
});

test("an unknown address shows the devices", () => {
  for (const fragment of [
    "",
    "/",
    "/nowhere",
    "/device",
    "/device/",
    "/device/%E0%A4%A",
    "javascript:alert(1)",
    "/__proto__",
  ])
    expect(parseRoute(fragment)).toEqual({ view: "devices", id: null, parameters: {} });
});

test("empty parameters are not part of the address", () => {
  expect(formatRoute("devices", { parameters: { q: "", status: "online" } })).toBe("/devices?status=online");
});
