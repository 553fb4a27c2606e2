import { beforeEach, expect, test } from "vitest";
import { json, sessionOf, stubPage } from "../../test/support/page.ts";

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
