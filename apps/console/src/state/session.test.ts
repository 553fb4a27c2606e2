import { beforeEach, expect, test } from "vitest";
import { json, type PageRequest, problem, respondWith, sessionOf, stubPage } from "../../test/support/page.ts";

let requests: string[] = [];
let scopes: readonly string[] = [];

beforeEach(() => {
  requests = [];
  stubPage(({ method, path }) => {
    requests.push(`${method} ${path}`);
    return json(200, method === "DELETE" ? {} : sessionOf("a", scopes));
  });
});

test("a key that can only connect devices does not sign in, and its session is ended again", async () => {
  const { session, signIn } = await import("./session.ts");
  scopes = ["connect"];
  expect(await signIn({ key: "a" })).toBe("This key is for devices. Sign in with a key for clients.");
  expect(requests).toEqual(["POST /console/session", "DELETE /console/session"]);
  expect(session.value.kind).not.toBe("signed_in");
  scopes = ["connect", "list"];
  expect(await signIn({ key: "a" })).toBe(null);
  // The cookie of the session that was open is gone.
  scopes = ["connect"];
  await signIn({ link: "of a device" });
  expect(session.value).toEqual({ kind: "signed_out", reason: null });
});

test("a search of the previous session does not carry over to the next one", async () => {
  const [{ href, route }, { noteSessionEnd, signIn }] = await Promise.all([
    import("./route.ts"),
    import("./session.ts"),
  ]);
  scopes = ["list"];
  const search = (): void => {
    route.value = { view: "devices", id: null, parameters: { q: "secret-project" } };
    route.value = { view: "device", id: "desk", parameters: {} };
  };
  await signIn({ key: "a" });
  search();
  expect(href("devices")).toBe("#/devices?q=secret-project");
  noteSessionEnd();
  await signIn({ key: "a" });
  expect(href("devices")).toBe("#/devices");
  search();
  expect(href("devices")).toBe("#/devices?q=secret-project");
});

test("every request names the displayed key, even after the session has ended, and a refusal ends the session in the page", async () => {
  const { administer, transport } = await import("./api.ts");
  const { listEnvironments } = await import("@letta-environments/client");
  const { readSession, session, signIn, signOut } = await import("./session.ts");
  const named: (readonly [string, string | null])[] = [];
  const note = ({ method, path, headers }: PageRequest): void =>
    void named.push([`${method} ${path}`, new Headers(headers).get("x-console-key")]);
  respondWith((request) => {
    note(request);
    return json(
      200,
      request.path === "/console/session"
        ? sessionOf("key-a", ["list"])
        : { connections: [], hasNextPage: false, nextCursor: null },
    );
  });
  // Whose session it is, the page does not know yet.
  await readSession();
  await administer("GET", "keys");
  await listEnvironments(transport);
  respondWith((request) => {
    note(request);
    return problem(401, "missing_key");
  });
  // Another tab has signed in with another key.
  await administer("GET", "keys").catch(() => undefined);
  expect(session.value.kind).toBe("ended");
  await listEnvironments(transport).catch(() => undefined);
  respondWith((request) => {
    note(request);
    return json(200, sessionOf("key-b", ["list"]));
  });
  await signIn({ key: "b" });
  await signOut();
  expect(named).toEqual([
    ["GET /console/session", null],
    ["GET /admin/v1/keys", "key-a"],
    ["GET /v1/environments", "key-a"],
    ["GET /admin/v1/keys", "key-a"],
    ["GET /v1/environments", "key-a"],
    ["POST /console/session", "key-a"],
    ["DELETE /console/session", "key-b"],
  ]);
});
