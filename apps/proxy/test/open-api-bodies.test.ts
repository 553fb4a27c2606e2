/** The bodies of the administration in the API description against the schemas that decode them: both accept the same values. */
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { CachePurgeSchema } from "../src/admin/purge-cache.ts";
import { ExplainRequestSchema } from "../src/explain/endpoint.ts";
import { KeyPatchSchema, RequestedKeySchema, RotationSchema } from "../src/keys/key-schemas.ts";

const document = JSON.parse(readFileSync(new URL("../openapi.json", import.meta.url), "utf8")) as {
  readonly components: { readonly schemas: Readonly<Record<string, { readonly properties: object }>> };
};
const formats = { int64: true, double: true } as const;
const validator = new Ajv2020({ strict: false, formats }).addSchema({
  $id: "openapi",
  components: document.components,
});

interface Body {
  readonly name: string;
  readonly schema: v.GenericSchema;
  /** A valid value, to which one member is added. */
  readonly base: { readonly keyId?: string; readonly [member: string]: unknown };
}

const request = { method: "GET", path: "/v1/environments" };
const bodies: readonly Body[] = [
  { name: "NewKey", schema: RequestedKeySchema, base: { name: "ci" } },
  { name: "KeyPatch", schema: KeyPatchSchema, base: {} },
  { name: "Rotation", schema: RotationSchema, base: {} },
  { name: "CachePurge", schema: CachePurgeSchema, base: {} },
  { name: "ExplainRequest", schema: ExplainRequestSchema, base: { ...request, keyId: "k" } },
];

/** Lengths around every bound of the rules. */
const lengths = [0, 1, 2, 20, 21, 32, 33, 50, 51, 64, 65, 128, 129, 8_192, 8_193];
const times = <Item>(count: number, item: Item): Item[] => Array.from({ length: count }, () => item);

/** Texts that differ in one property from those that a rule accepts. The document counts code points, so none is beyond the BMP. */
const texts: readonly string[] = [
  ...lengths.flatMap((length) => ["a", " ", "é"].map((character) => character.repeat(length))),
  ...lengths.map((length) => `/v1/${"a".repeat(Math.max(0, length - 4))}`),
  ...[
    "\u0000",
    "\u001f",
    "\u007f",
    "\u009f",
    "\u00a0",
    "\ufeff",
    "\u2028",
    "\n",
    " ",
    ".",
    "_",
    ":",
    "~",
    "-",
    "/",
    "é",
  ].flatMap((character) => [character, `${character}b`, `a${character}`, `a${character}b`]),
  ...[".", "..", "register", "events", "approvals", "runtimes", "passthrough:x", "passthrough", "xpassthrough:"],
  ...["none", "10/1m", "1000/1d/50", "1/1w", "10/1y", "/1m", "10", "10/1m/", "-1/1m", "None"],
  ...[
    "/v1/environments?a=b",
    "//v1/x",
    "///v1/x",
    "/v1/ratelimit",
    "/v1/ratelimit?x",
    "/v1/ratelimits",
    "/livez",
    "/v1",
  ],
  ...["lists", "everything", "GET", "TRACE", "list", "standard", "accept"],
];
const numbers: readonly number[] = [
  ...[0, 1_000, 604_800_000, 3_155_760_000_000, Number.MAX_SAFE_INTEGER].flatMap((bound) => [
    bound - 1,
    bound,
    bound + 1,
  ]),
  ...[0.5, -1, 999.5, 1e300],
];
const lists: readonly unknown[] = [
  ...texts.map((text) => [text]),
  ...[0, 20, 21, 50, 51, 1_000, 1_001].flatMap((count) => [times(count, "a"), times(count, "list")]),
  [["a"]],
  [1],
  [null],
];
const objects: readonly unknown[] = [
  {},
  ...texts.flatMap((text) => [{ [text]: "none" }, { gateway: text }]),
  ...[32, 33].map((count) => Object.fromEntries(times(count, "none").map((limit, index) => [index, limit]))),
  { gateway: null },
  ...numbers.map((expiresAt) => ({ expiresAt })),
  ...lists.map((tags) => ({ expiresAt: 1, tags })),
  { expiresAt: 1, other: 1 },
  JSON.parse('{"__proto__":"none"}'),
];
const values: readonly unknown[] = [...texts, ...numbers, ...lists, ...objects, true, false, null];

describe.each(bodies)("$name", ({ name, schema, base }) => {
  const { properties } = document.components.schemas[name] ?? { properties: {} };
  const validate = validator.compile({ $ref: `openapi#/components/schemas/${name}` });

  test.each(Object.keys(properties))(
    "%s: the description accepts the values that the server accepts, and no others",
    (member) => {
      const results = values.map((value) => {
        const { keyId: _keyId, ...others } = base;
        const body = { ...(member === "claims" ? others : base), [member]: value };
        return { value, isDescribed: validate(body), isAccepted: v.is(schema, body) };
      });
      expect(results.filter(({ isDescribed, isAccepted }) => isDescribed !== isAccepted)).toEqual([]);
      // Both happen, or this says nothing. Everything can be the body of a request.
      const accepted = results.filter(({ isAccepted }) => isAccepted).length;
      expect(accepted).toBeGreaterThan(0);
      expect(accepted === values.length).toBe(member === "body");
    },
  );
});

test("the description of ExplainRequest has one caller, and CachePurge one target", () => {
  const validate = (name: string, body: object): boolean =>
    validator.compile({ $ref: `openapi#/components/schemas/${name}` })(body);
  expect(validate("ExplainRequest", request)).toBe(false);
  expect(validate("ExplainRequest", { ...request, claims: {} })).toBe(true);
  expect(validate("ExplainRequest", { ...request, claims: {}, keyId: "k" })).toBe(false);
  expect(validate("CachePurge", { deviceId: "d" })).toBe(true);
  expect(validate("CachePurge", { deviceId: "d", group: "lists" })).toBe(false);
});

/** Returns every schema of a number below a part of the document. */
function numbersIn(part: unknown, path: string = ""): readonly (readonly [path: string, schema: NumberSchema])[] {
  if (typeof part !== "object" || part === null) return [];
  const schema: NumberSchema = part;
  const own = schema.type === "integer" || schema.type === "number" ? [[path, schema] as const] : [];
  return [...own, ...Object.entries(part).flatMap(([name, inner]) => numbersIn(inner, `${path}/${name}`))];
}

interface NumberSchema {
  readonly type?: unknown;
  readonly format?: unknown;
  readonly maximum?: number;
}

test("every number has a format or fits into 32 bits, so that generated clients parse times and counters exactly", () => {
  const numbers = numbersIn(document);
  const lossy = numbers.filter(([, { type, format, maximum = Infinity }]) =>
    type === "integer" ? format !== "int64" && maximum > 2 ** 31 - 1 : format !== "double",
  );
  expect(lossy.map(([path]) => path)).toEqual([]);
  const fractions = numbers.filter(([, { type }]) => type === "number").map(([path]) => path.split("/").at(-3));
  expect(fractions).toEqual(["p50Ms", "p95Ms", "p99Ms"]);
});

test("a default for a list is described as a string, because generated code would type it as a list of arbitrary strings", () => {
  expect(document.components.schemas["NewKey"]?.properties).toMatchObject({
    scopes: { description: expect.stringContaining("By default `list`, `read`.") },
  });
  expect(JSON.stringify(document.components)).not.toContain('"default":[');
});
