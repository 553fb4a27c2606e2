import { beforeEach, expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import {
  createFakeServer,
  exampleEnvironment,
  respondWithJson,
  respondWithProblem,
  scriptFetch,
} from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { createHandClock } from "./hand-clock.ts";
import { installRandom } from "./install-clock.ts";

const base = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test" };
const noContent = (): Response => new Response(null, { status: 204 });

beforeEach(() => {
  createHandClock();
  installRandom(1);
});

function over(script: ReturnType<typeof scriptFetch>) {
  return createClient({ ...base, fetch: script.fetch }).environments;
}

test("update sends the patch as JSON with PATCH, and resolves with the row", async () => {
  const row = exampleEnvironment({ deviceId: "d-1", tags: ["ci"] });
  const script = scriptFetch(respondWithJson(200, row));
  expect(await over(script).update("d-1", { tags: ["ci"], displayName: null })).toEqual(row);
  expect(script.seen[0]).toMatchObject({ init: { method: "PATCH" }, url: "http://127.0.0.1:1/v1/environments/d-1" });
  expect(JSON.parse(String(script.seen[0]?.body))).toEqual({ tags: ["ci"], displayName: null });
});

test("remove sends DELETE for a device or for one row, and resolves with nothing", async () => {
  const script = scriptFetch(noContent, noContent);
  const environments = over(script);
  expect(await environments.remove("d-1")).toBeUndefined();
  expect(await environments.remove("d-1", { id: "env-1" })).toBeUndefined();
  expect(script.seen.map(({ init, url }) => `${init.method} ${url}`)).toEqual([
    "DELETE http://127.0.0.1:1/v1/environments/d-1",
    "DELETE http://127.0.0.1:1/v1/environments/d-1?id=env-1",
  ]);
});

test.each<[string, () => Response, string | undefined]>([
  ["204", noContent, undefined],
  ["200 without a body", () => new Response(""), undefined],
  ["a page", () => new Response("<html></html>", { headers: { "content-type": "text/html" } }), "invalid_response"],
  ["a list", respondWithJson(200, []), "invalid_response"],
  ["null", respondWithJson(200, null), "invalid_response"],
])("a removal that gets %s is a success only if the response has no body", async (_case, respond, code) => {
  const removal = over(scriptFetch(respond)).remove("d-1");
  if (code === undefined) expect(await removal).toBeUndefined();
  else expect(await catchError(removal)).toMatchObject({ code, outcome: "unknown", retryable: false });
});

test("a removal without a response is not repeated, and a patch is", async () => {
  const lost = (): Response => {
    throw new TypeError("fetch failed");
  };
  const removal = scriptFetch(lost, noContent);
  const error = await catchError(over(removal).remove("d-1"));
  expect([error.code, removal.seen.length]).toEqual(["connection_failed", 1]);
  const patch = scriptFetch(respondWithJson(503, {}), respondWithJson(200, exampleEnvironment({ deviceId: "d-1" })));
  await over(patch).update("d-1", { tags: [] });
  expect(patch.seen).toHaveLength(2);
});

test.each([
  respondWithProblem("endpoint_not_found"),
  respondWithJson(405, {}),
  respondWithJson(404, { message: "no" }),
])("the error of a server without the operation says what is missing", async (respond) => {
  const error = await catchError(over(scriptFetch(respond)).update("d-1", { tags: [] }));
  expect(error.message).toMatch(/^the server does not offer updateEnvironment, an extension of @letta-environments: /);
});

test("an unknown device has its own error", async () => {
  const error = await catchError(over(scriptFetch(respondWithProblem("environment_not_found"))).remove("d-9"));
  expect(error.code).toBe("environment_not_found");
  expect(error.message).not.toContain("does not offer");
});

test("tags of a list are sent one by one, and the fake server filters by them", async () => {
  const server = createFakeServer();
  server.put({ deviceId: "d-1", tags: ["ci", "gpu"] });
  server.put({ deviceId: "d-2", tags: ["ci"] });
  const { environments } = createClient({ ...base, fetch: server.fetch });
  const ids = async (tag: string | readonly string[]): Promise<readonly string[]> =>
    (await environments.list({ tag })).connections.map(({ deviceId }) => deviceId);
  expect(await ids("ci")).toEqual(["d-1", "d-2"]);
  expect(await ids(["ci", "gpu"])).toEqual(["d-1"]);
  expect(server.requests.at(-1)?.url).toMatch(/\?tag=ci&tag=gpu$/);
  await environments.remove("d-1");
  expect(await ids("ci")).toEqual(["d-2"]);
  expect((await catchError(environments.list({ tag: "" }))).message).toBe("tag must be a non-empty string");
});

test("a row of the list can be removed unchanged", async () => {
  const script = scriptFetch(noContent);
  await over(script).remove("d-1", exampleEnvironment({ id: "env-1", deviceId: "d-1" }));
  expect(script.seen.map(({ url }) => url)).toEqual([expect.stringMatching(/\/d-1\?id=env-1$/)]);
});

test.each([{ id: undefined }, { rowId: "env-1" }, "env-1"])(
  "a removal of %j is refused before any request, because it could remove the whole device",
  async (row) => {
    const script = scriptFetch(noContent);
    const error = await catchError(over(script).remove("d-1", row as unknown as { id: string }));
    expect([error.code, script.seen.length]).toEqual(["invalid_argument", 0]);
  },
);
