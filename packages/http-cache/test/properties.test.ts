import fc from "fast-check";
import { expect, test } from "vitest";
import { createMemoryCacheStore, type HeaderRecord } from "../src/index.ts";
import type { UpstreamResponse } from "../src/rfc9111.ts";
import { createHarness, reply, textOf } from "./harness.ts";

const keyed = fc.constantFrom("1", "2", "3");
const request = fc.record({
  tenant: fc.constantFrom("a", "b", "a1:"),
  path: fc.constantFrom("/x", "/x?y=1", "/x#f", "//x"),
  foo: keyed,
  unkeyed: fc.dictionary(
    fc.constantFrom("cookie", "user-agent", "x-forwarded-host", "host", "accept", "origin", "constructor"),
    fc.string({ maxLength: 10 }),
  ),
  method: fc.constantFrom("GET", "GET", "HEAD", "POST"),
});

test("unkeyed input never changes the bytes that another partition or variant gets", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 2, maxLength: 12 }), async (requests) => {
      const { replies, send } = createHarness();
      for (const { tenant, path, foo, unkeyed, method } of requests) {
        const owner = `${tenant} ${path.split("#")[0]} ${foo}`;
        // The origin uses keyed input only. Other request fields must not affect the responses of others.
        replies[0] = () => reply({ "cache-control": "max-age=60", vary: "foo" }, owner);
        const url = `https://example.test${path}`;
        const response = await send({ method, url, partition: [tenant], headers: { ...unkeyed, foo } });
        if (method === "GET") expect(textOf(response)).toBe(owner);
      }
    }),
    { numRuns: 200 },
  );
});

const directive = fc.oneof(
  fc.constantFrom(
    "max-age=60",
    "s-maxage=1",
    "public",
    "immutable",
    "must-revalidate",
    "max-age",
    "no-cache",
    '"',
    'x="',
    ",",
    "=",
    "max-age=-1",
  ),
  fc.string({ maxLength: 12 }),
);
const anyHeaders = fc.dictionary(
  fc.constantFrom(
    "cache-control",
    "cdn-cache-control",
    "age",
    "date",
    "expires",
    "vary",
    "etag",
    "last-modified",
    "connection",
    "cache-groups",
    "cache-group-invalidation",
    "content-length",
    "content-location",
    "location",
    "set-cookie",
    "__proto__",
  ),
  fc.array(directive, { maxLength: 4 }).map((parts) => parts.join(",")),
);

test("no response field value makes the cache throw", async () => {
  const method = fc.constantFrom("GET", "HEAD", "POST");
  const status = fc.constantFrom(200, 204, 206, 304, 404, 500);
  await fc.assert(
    fc.asyncProperty(anyHeaders, anyHeaders, method, status, async (headers, requestHeaders, verb, code) => {
      const { clock, replies, send } = createHarness();
      replies.push({ status: code, headers, body: new Uint8Array(3) });
      await send({ method: verb, headers: requestHeaders });
      await clock.advance(30_000);
      await send({ headers: requestHeaders });
      await send({ headers: { ...requestHeaders, range: "bytes=1-", "if-none-match": '"a"' } });
    }),
    { numRuns: 500 },
  );
});

const forbidding: fc.Arbitrary<readonly [HeaderRecord, HeaderRecord, number]> = fc.constantFrom(
  [{ "cache-control": "no-store" }, {}, 200],
  [{ "cache-control": "private" }, {}, 200],
  [{ "cache-control": "PRIVATE=junk" }, {}, 200],
  [{ vary: "a, *" }, {}, 200],
  [{}, {}, 206],
  [{}, {}, 304],
  [{}, { "cache-control": "no-store" }, 200],
);

test("no other field or directive makes an unstorable response stored", async () => {
  await fc.assert(
    fc.asyncProperty(
      forbidding,
      anyHeaders,
      fc.boolean(),
      async ([forbids, requestHeaders, status], noise, isBefore) => {
        const { "cdn-cache-control": _, vary, ...rest } = noise;
        const joined: Record<string, string> = { ...rest };
        for (const [name, value] of Object.entries({ ...(vary === undefined ? {} : { vary }), ...forbids })) {
          const other = name in noise && name !== "vary" ? noise[name] : undefined;
          joined[name] = other === undefined ? value : isBefore ? `${other}, ${value}` : `${value}, ${other}`;
        }
        // The one directive that overrides no-store.
        if (joined["cache-control"]?.includes("must-understand") === true) return;
        const { replies, send, store } = createHarness();
        const response: UpstreamResponse = { status, headers: joined, body: new Uint8Array(1) };
        replies.push(response);
        await send({ headers: requestHeaders });
        expect(store.entryCount).toBe(0);
      },
    ),
    { numRuns: 500 },
  );
});

test("a stored body is returned byte for byte until it is evicted", async () => {
  const bytes = fc.uint8Array({ maxLength: 3_000 });
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { minLength: 1, maxLength: 30 }), async (bodies) => {
      const clock = { now: () => 1_800_000_000_000 };
      const store = createMemoryCacheStore({ clock, maxBytes: 40_000 });
      const { replies, send } = createHarness({ store });
      for (const [index, body] of bodies.entries()) {
        replies[0] = { status: 200, headers: { "cache-control": "max-age=60" }, body };
        await send({ url: `https://example.test/${index}` });
        for (let earlier = 0; earlier <= index; earlier++) {
          replies[0] = { status: 404, headers: {}, body: new Uint8Array() };
          const response = await send({ url: `https://example.test/${earlier}` });
          if (response.status === 200) expect(response.body).toEqual(bodies[earlier]);
        }
      }
    }),
    { numRuns: 30 },
  );
});
