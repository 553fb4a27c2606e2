import { createFakeUpstream } from "@letta-environments/testkit";
import { expect, onTestFinished, test } from "vitest";
import { createCachedFetch } from "../src/cached-fetch.ts";

test("a fresh response is not requested again, and a stale one is revalidated with its entity tag", async () => {
  const origin = await createFakeUpstream(({ target, headers }, response) => {
    response.setHeader("etag", '"1"').setHeader("cache-control", target === "/fresh" ? "max-age=60" : "no-cache");
    response.statusCode = headers["if-none-match"] === '"1"' ? 304 : 200;
    response.end(response.statusCode === 304 ? "" : "body");
  });
  onTestFinished(() => origin.close());
  const cachedFetch = createCachedFetch();
  for (const path of ["/fresh", "/fresh", "/stale", "/stale"]) {
    const response = await cachedFetch(origin.url + path);
    expect([response.status, await response.text()]).toEqual([200, "body"]);
  }
  const seen = origin.seen.map(({ target, headers }) => [target, headers["if-none-match"]]);
  expect(seen).toEqual([
    ["/fresh", undefined],
    ["/stale", undefined],
    ["/stale", '"1"'],
  ]);
});
