import { expect, test } from "vitest";
import { readWebBody, webRequestTarget } from "./request.ts";

test("path and query are those of the URL unchanged, and the authority is plain or null", () => {
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

type WebBody = Parameters<typeof readWebBody>[0];

interface Watched {
  readonly isCancelled: () => boolean;
}

function requestOf(chunks: readonly (string | Error)[], headers: Record<string, string> = {}): WebBody & Watched {
  const rest = [...chunks];
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = rest.shift();
      if (next === undefined) controller.close();
      else if (typeof next === "string") controller.enqueue(new TextEncoder().encode(next));
      else controller.error(next);
    },
    cancel: () => void (isCancelled = true),
  });
  return { body, headers: new Headers(headers), isCancelled: () => isCancelled };
}

test("a body of several chunks is read completely, and a request without a body is null", async () => {
  const bytes = await readWebBody(requestOf(["ab", "", "cd"]), 4);
  expect(bytes instanceof Uint8Array && new TextDecoder().decode(bytes)).toBe("abcd");
  expect(await readWebBody(requestOf([]), 4)).toBeNull();
  expect(await readWebBody({ body: null, headers: new Headers() }, 4)).toBeNull();
});

test("a body over the limit is cancelled, and a body with a Content-Length over the limit is not read", async () => {
  const growing = requestOf(["abc", "de", "never"]);
  expect([await readWebBody(growing, 4), growing.isCancelled()]).toEqual(["too_large", true]);
  const announced = requestOf(["abcde"], { "content-length": "5" });
  expect([await readWebBody(announced, 4), announced.isCancelled()]).toEqual(["too_large", true]);
});

test("a body that ends early is aborted", async () => {
  expect(await readWebBody(requestOf(["ab", new Error("reset")]), 4)).toBe("aborted");
});
