import { expect, test } from "vitest";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import type { UpstreamFetch, UpstreamRequest } from "../ports.ts";
import { withReadClient } from "./bun-client.ts";

test("only reads use the read client, and at most the permitted number run at the same time", async () => {
  const used: string[] = [];
  const ends: (() => void)[] = [];
  const client =
    (name: string): UpstreamFetch =>
    ({ method }) => {
      used.push(`${name} ${method}`);
      return new Promise((resolve) => void ends.push(() => resolve({ status: 200, headers: {}, body: null })));
    };
  const call = withReadClient(client("pool"), client("reads"), 1);
  const { signal } = new AbortController();
  const request = (method: string): UpstreamRequest => {
    return { method, path: "/", query: "", headers: {}, body: null, principal: createTestPrincipal() };
  };
  const calls = [call(request("GET"), signal), call(request("GET"), signal), call(request("POST"), signal)];
  for (const end of ends.splice(0)) end();
  await Promise.all(calls);
  void call(request("GET"), signal);
  expect(used).toEqual(["reads GET", "pool GET", "pool POST", "reads GET"]);
});
