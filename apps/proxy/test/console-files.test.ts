import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createConsoleFiles } from "../src/adapters/node/static-files.ts";
import { createConsoleRoutes } from "../src/host/console-routes.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { silentReporting } from "./support/host-reporting.ts";

const folder = mkdtempSync(join(tmpdir(), "console-files-"));
const files = { "index.html": "<!doctype html>", "main-1.js": "let a;", "main-1.js.br": "br", "main-1.js.gz": "gz" };
for (const [name, text] of Object.entries({ ...files, "notes.txt": "secret" })) writeFileSync(join(folder, name), text);

const readFile = createConsoleFiles(folder);
const handle = () => ({ status: 200, headers: {}, body: "pipeline" });
const routes = createConsoleRoutes({ handle, readFile }, silentReporting);

async function get(path: string, headers: Readonly<Record<string, string>> = {}, method = "GET") {
  const pattern = routes.find((route) => route.path === path)?.path ?? "/console/*";
  const response = await routes
    .find((route) => route.path === pattern)
    ?.respond(fakeRequest({ method, path, headers }));
  return {
    ...response,
    text:
      typeof response?.body === "string"
        ? response.body
        : new TextDecoder().decode((response?.body ?? undefined) as Uint8Array | undefined),
  };
}

test("the page forbids other hosts, frames, inline scripts and markup from strings, and is revalidated", async () => {
  const { status, headers, text } = await get("/console/");
  expect([status, text]).toEqual([200, "<!doctype html>"]);
  expect(headers).toMatchObject({
    "cache-control": "no-cache",
    "content-type": "text/html; charset=utf-8",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
  });
  const policy = headers?.["content-security-policy"] ?? "";
  for (const directive of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"])
    expect(policy).toContain(directive);
  expect(policy).toContain("require-trusted-types-for 'script'");
  expect(policy).not.toMatch(/unsafe|https?:|\*|data:/);
  expect(headers).not.toHaveProperty("access-control-allow-origin");
});

test("other files are cacheable, and sent in the best content coding that the browser accepts", async () => {
  const encoded = async (accept: string) => {
    const { headers, text } = await get("/console/main-1.js", { "accept-encoding": accept });
    return [headers?.["content-encoding"], text];
  };
  expect(await encoded("gzip, deflate, br, zstd")).toEqual(["br", "br"]);
  expect(await encoded("gzip;q=1.0, br;q=0")).toEqual(["gzip", "gz"]);
  expect(await encoded("identity")).toEqual([undefined, "let a;"]);
  const { headers } = await get("/console/main-1.js");
  expect(headers).toMatchObject({ "cache-control": "public, max-age=31536000, immutable", vary: "Accept-Encoding" });
  const again = await get("/console/main-1.js", { "if-none-match": headers?.["etag"] ?? "" });
  expect([again.status, again.body]).toEqual([304, null]);
});

test("a file is 304 if If-None-Match matches: weakly, in a list, or as *", async () => {
  for (const path of ["/console/", "/console/main-1.js"]) {
    const tag = (await get(path)).headers?.["etag"] ?? "";
    for (const ifNoneMatch of [tag, `W/${tag}`, `"a,b" , ${tag}`, `W/"x",W/${tag}`, "*", " * "]) {
      const { status, body, headers } = await get(path, { "if-none-match": ifNoneMatch });
      expect([ifNoneMatch, status, body, headers?.["etag"]]).toEqual([ifNoneMatch, 304, null, tag]);
    }
    for (const other of ['"x"', tag.slice(1, -1), `"${tag}"`, ""]) {
      expect([other, (await get(path, { "if-none-match": other })).status]).toEqual([other, 200]);
    }
  }
});

test("no path leads outside the folder, to other file types, or to missing files", async () => {
  const names = [
    "..",
    "../package.json",
    "..%2fpackage.json",
    "notes.txt",
    "main-1.js.br",
    "none.js",
    "",
    "constructor",
  ];
  for (const name of names.filter((each) => each !== "")) {
    const { status } = await get(`/console/${name}`);
    expect({ name, status }).toEqual({ name, status: 404 });
  }
  expect((await get("/console/", {}, "POST")).status).toBe(405);
  expect(await get("/console")).toMatchObject({ status: 308, headers: { location: "console/" } });
});

test("the console's session requests are handled by the pipeline", async () => {
  expect(await get("/console/session")).toMatchObject({ body: "pipeline" });
});
