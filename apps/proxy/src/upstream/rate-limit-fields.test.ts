import { expect, test } from "vitest";
import { rateLimitFieldsOf } from "./validate-response.ts";

test.each([
  { "ratelimit-policy": '"burst";q=100;w=60, "daily";q=1000;w=86400;pk=:cHNsc2s=:' },
  { ratelimit: '"burst";r=50;t=30' },
  { ratelimit: '"burst"; r=123456789012345;  t=-1.5;pk=:cHM:;a="b";c=d;e=?1;f=999999999999.999 ,\tother' },
  { "ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "7", "ratelimit-reset": "9" },
  { "x-ratelimit-remaining": "7", "x-ratelimit-reset": "2026-11-24T00:00:00Z" },
])("the response field %j is forwarded", (headers) => {
  expect(rateLimitFieldsOf(headers)).toEqual(headers);
});

test.each([
  { ratelimit: '"unclosed;r=1' },
  { ratelimit: '"a";r=1,' },
  { ratelimit: "r=1;;" },
  { ratelimit: '"a" ;r=1' },
  { ratelimit: '"a";r=1 ;t=1' },
  { ratelimit: '"a";r=1234567890123.5' },
  { ratelimit: '"a";r=1.2345' },
  { ratelimit: '"a";r=1.' },
  { ratelimit: '"a";r=1234567890123456' },
  { ratelimit: '"a";pk=:a:' },
  { ratelimit: '"a";pk=:YQ=:' },
  { ratelimit: '"a";pk=:Y=Q=:' },
  { "ratelimit-policy": `"${"a".repeat(2_000)}"` },
  { "x-ratelimit-remaining": "7\u00ff" },
  { "x-request-cost": "7" },
  { "ratelimit-degraded": '"mine";decided=open' },
  { "set-cookie": "a=b" },
])("the response field %j is removed", (headers) => {
  expect(rateLimitFieldsOf(headers)).toEqual({});
});
