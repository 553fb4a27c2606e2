import { expect, test } from "vitest";
import { webRequestTarget } from "./request.ts";

test("path and query are those of the URL as it stands, and the authority is plain or null", () => {
  const base = "https://gateway.example:8443";
  expect(webRequestTarget(`${base}/v1/../a%2F?b=1?c#d`)).toEqual({
    authority: base,
    path: "/v1/../a%2F",
    query: "b=1?c",
  });
  expect(webRequestTarget(base)).toEqual({ authority: base, path: "/", query: "" });
  expect(webRequestTarget(`${base}?a=1`)).toEqual({ authority: base, path: "/", query: "a=1" });
  expect(webRequestTarget("http://[::1]:1/x")).toEqual({ authority: "http://[::1]:1", path: "/x", query: "" });
  expect(webRequestTarget("http://user@host/x").authority).toBeNull();
});
