import { describe, expect, test } from "vitest";
import { decodeBody, decodeQuery } from "../requests/decode-request.ts";
import { EnvironmentPatchSchema, patchLabels, sortTags } from "./labels.ts";
import { ListEnvironmentsQuerySchema } from "./list-query.ts";

function rulesOf(body: unknown): readonly string[] {
  const decoded = decodeBody(EnvironmentPatchSchema, new TextEncoder().encode(JSON.stringify(body)), undefined);
  if (decoded.ok) return [];
  const { errors } = JSON.parse(String(decoded.response.body)) as { errors: { member: string; rule: string }[] };
  return errors.map(({ member, rule }) => `${member} ${rule}`);
}

describe("patches of the labels", () => {
  test.each([
    {},
    { displayName: "Büro 1", tags: ["ci", "a:b", "x".repeat(64)] },
    { displayName: null, tags: null },
    { tags: [] },
    { later: true },
  ])("a patch of the labels accepts %j", (body) => {
    expect(rulesOf(body)).toEqual([]);
  });

  test.each<[unknown, string]>([
    [{ displayName: "" }, "displayName must not be empty; null clears it"],
    [{ displayName: "x".repeat(129) }, "displayName must have at most 128 characters"],
    [{ displayName: "a\u001bb" }, "displayName must not have control characters or unpaired surrogates"],
    [
      { tags: ["a b"] },
      "tags[0] must be 1 to 64 characters from A-Z a-z 0-9 . _ : - and begin with a letter or a digit",
    ],
    [
      { tags: ["-a"] },
      "tags[0] must be 1 to 64 characters from A-Z a-z 0-9 . _ : - and begin with a letter or a digit",
    ],
    [
      { tags: ["x".repeat(65)] },
      "tags[0] must be 1 to 64 characters from A-Z a-z 0-9 . _ : - and begin with a letter or a digit",
    ],
    [{ tags: Array.from({ length: 21 }, (_, index) => `t${index}`) }, "tags must have at most 20 tags"],
  ])("a patch of the labels refuses %j with an explanation", (body, rule) => {
    expect(rulesOf(body)).toEqual([rule]);
  });

  test("a patch of the labels keeps absent members, clears those that are null, and sorts tags", () => {
    const labels = { displayName: "Box", tags: ["ci"] };
    expect(patchLabels(labels, {})).toEqual(labels);
    expect(patchLabels(labels, { tags: ["b", "a", "b"] })).toEqual({ displayName: "Box", tags: ["a", "b"] });
    expect(patchLabels(labels, { displayName: null, tags: null })).toEqual({ displayName: null, tags: [] });
    expect(sortTags([])).toEqual([]);
  });
});

describe("tags of a list query", () => {
  const decode = (query: string): unknown => decodeQuery(ListEnvironmentsQuerySchema, query);

  test("the tag of a list query may be repeated, unlike any other parameter", () => {
    expect(decode("tag=ci")).toEqual({ ok: true, value: { tag: ["ci"] } });
    expect(decode("tag=ci&limit=2&tag=gpu")).toEqual({ ok: true, value: { tag: ["ci", "gpu"], limit: 2 } });
    expect(decode("limit=2&limit=2")).toMatchObject({ ok: false, response: { status: 400 } });
  });

  test.each(["tag=", "tag=a%20b", `tag=${Array.from({ length: 21 }, () => "a").join("&tag=")}`])(
    "the tag of a list query refuses %s",
    (query) => {
      expect(decode(query)).toMatchObject({ ok: false, response: { status: 400 } });
    },
  );
});
