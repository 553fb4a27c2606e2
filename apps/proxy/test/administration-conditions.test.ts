/** Reads and changes of keys under the preconditions of RFC 9110 section 13. */
import { expect, test } from "vitest";
import { type AdminAnswer, withAdmin } from "./support/administer.ts";

test("an update with If-Match changes a key only if the tag matches", async () => {
  const { ask } = await withAdmin();
  const made = await ask({ body: { name: "n" } });
  const path = `/${made.body.id}`;
  const patch = (etag: string | undefined, name: string): Promise<AdminAnswer> =>
    ask({ method: "PATCH", path, body: { name }, headers: { "if-match": etag ?? "" } });
  expect((await ask({ path })).headers["etag"]).toBe(made.headers["etag"]);
  const first = await patch(made.headers["etag"], "first");
  expect(first.status).toBe(200);
  const second = await patch(made.headers["etag"], "second");
  expect([second.status, second.body.errorCode]).toEqual([412, "precondition_failed"]);
  expect((await patch(`W/${first.headers["etag"]}`, "weak")).status).toBe(412);
  expect((await patch(`"x", ${first.headers["etag"]}`, "third")).status).toBe(200);
  expect((await patch("*", "fourth")).body.name).toBe("fourth");
});

test("a read of a key is 304 under its entity tag, and 412 if another version is requested", async () => {
  const { ask } = await withAdmin();
  const made = await ask({ body: { name: "n" } });
  const etag = made.headers["etag"] ?? "";
  const read = async (headers: Readonly<Record<string, string>>, path = `/${made.body.id}`): Promise<unknown> => {
    const answer = await ask({ path, headers });
    return [answer.status, answer.headers["etag"]];
  };
  for (const known of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
    expect(await read({ "if-none-match": known })).toEqual([304, etag]);
  }
  expect(await read({ "if-none-match": '"x"' })).toEqual([200, etag]);
  expect(await read({ "if-match": etag })).toEqual([200, etag]);
  expect(await read({ "if-match": etag, "if-none-match": etag })).toEqual([304, etag]);
  for (const other of ['"x"', `W/${etag}`]) expect(await read({ "if-match": other })).toEqual([412, undefined]);
  expect(await read({ "if-match": '"x"', "if-none-match": "*" }, "/unknown")).toEqual([404, undefined]);
});

test.each([
  ["PATCH", ""],
  ["POST", "/rotate"],
  ["POST", "/revoke"],
])("%s %s with an If-None-Match that names the key changes nothing", async (method, act) => {
  const { testProxy, ask } = await withAdmin();
  const made = await ask({ body: { name: "n" } });
  const { id } = made.body;
  const before = await testProxy.keyStore.find(id);
  const under = (ifNoneMatch: string): Promise<AdminAnswer> => {
    const body = method === "PATCH" ? { body: { name: "m" } } : {};
    return ask({ method, path: `/${id}${act}`, headers: { "if-none-match": ifNoneMatch }, ...body });
  };
  for (const named of ["*", made.headers["etag"] ?? "", `W/${made.headers["etag"]}`]) {
    const answer = await under(named);
    expect([answer.status, answer.body.errorCode]).toEqual([412, "precondition_failed"]);
  }
  expect(await testProxy.keyStore.find(id)).toEqual(before);
  expect((await under('"x"')).status).toBe(200);
});

test.each(["rotate", "revoke"])("%s with If-Match changes only the version of the key that was read", async (act) => {
  const { testProxy, ask } = await withAdmin();
  const made = await ask({ body: { name: "n" } });
  const path = `/${made.body.id}`;
  await ask({ method: "PATCH", path, body: { name: "m" } });
  const before = await testProxy.keyStore.find(made.body.id);
  const under = (etag: string | undefined): Promise<AdminAnswer> =>
    ask({ path: `${path}/${act}`, method: "POST", headers: { "if-match": etag ?? "" } });
  const stale = await under(made.headers["etag"]);
  expect([stale.status, stale.body.errorCode]).toEqual([412, "precondition_failed"]);
  expect(await testProxy.keyStore.find(made.body.id)).toEqual(before);
  expect((await under((await ask({ path })).headers["etag"])).status).toBe(200);
  expect(await testProxy.keyStore.find(made.body.id)).not.toEqual(before);
});
