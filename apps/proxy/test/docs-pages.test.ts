/** The pages of `/docs`, from a running gateway, as tools and as a browser see them. */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { launchProxy, type LaunchedProxy } from "@letta-environments/testkit";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDocsPages } from "../scripts/docs-pages/pages.ts";
import { createMarkdown } from "../scripts/docs-pages/html.ts";

let proxy: LaunchedProxy;
beforeAll(async () => {
  proxy = await launchProxy();
}, 60_000);
afterAll(() => proxy.stop());

test("the description of the API needs no key, and its policy allows nothing but its own style and script", async () => {
  const response = await fetch(`${proxy.url}/docs`);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  const policy = response.headers.get("content-security-policy") ?? "";
  expect(policy).toMatch(
    /^default-src 'none'; script-src 'sha256-[^ ]+'; style-src 'sha256-[^ ]+'; connect-src 'self';/,
  );
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
  expect(response.headers.get("x-frame-options")).toBe("DENY");
  const text = await response.text();
  expect(text).toContain('id="sendMessage"');
  expect(text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
  expect((await fetch(`${proxy.url}/docs`, { method: "POST" })).status).toBe(405);
});

test("a page with an unchanged entity tag is 304", async () => {
  for (const path of ["/docs", "/docs/problems/", "/docs/problems/overloaded"]) {
    const { headers } = await fetch(`${proxy.url}${path}`);
    const [etag, caching] = [headers.get("etag") ?? "", headers.get("cache-control")];
    expect([path, etag, caching]).toEqual([path, expect.stringMatching(/^"[0-9a-f]{32}"$/), "private, no-cache"]);
    const again = await fetch(`${proxy.url}${path}`, { headers: { "if-none-match": etag } });
    expect([again.status, again.headers.get("etag"), await again.text()]).toEqual([304, etag, ""]);
  }
});

test("a browser at / is redirected to the pages where there is no console, and every other request is 404", async () => {
  const page = await fetch(proxy.url, { headers: { accept: "text/html,*/*;q=0.8" } });
  expect([page.status, page.url]).toEqual([200, `${proxy.url}/docs`]);
  const problem = await fetch(proxy.url);
  expect([problem.status, problem.headers.get("content-type")]).toEqual([404, "application/problem+json"]);
});

test("every error code has a page, and nothing else does", async () => {
  const folder = resolve(import.meta.dirname, "../../../docs/problems");
  const codes = readdirSync(folder).flatMap((name) => (name === "README.md" ? [] : [name.replace(".md", "")]));
  expect(Object.keys(createDocsPages().problemPages).toSorted()).toEqual(codes.toSorted());
  for (const code of ["overloaded", "delivery_unknown"]) {
    const page = await fetch(`${proxy.url}/docs/problems/${code}`);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining(`<code>${code}</code>`)]);
  }
  for (const path of ["nothing", "__proto__", "..%2fproblems", "overloaded/x"]) {
    expect((await fetch(`${proxy.url}/docs/problems/${path}`)).status).toBe(404);
  }
});

test("links between the pages lead to pages that exist", () => {
  const { index, problems, problemPages } = createDocsPages();
  const all = [index, problems, ...Object.values(problemPages)];
  const targets = new Set(all.flatMap((page) => [...page.matchAll(/href="([^"#]+)"/g)].map(([, href = ""]) => href)));
  const known = new Set([
    "/docs",
    "/docs/problems/",
    "/openapi.json",
    ...Object.keys(problemPages).map((code) => `/docs/problems/${code}`),
  ]);
  expect([...targets]).toEqual(expect.arrayContaining(["/docs", "/openapi.json"]));
  expect([...targets].filter((target) => !known.has(target))).toEqual([]);
  const anchors = new Set([...index.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
  const linked = [...index.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
  expect(linked.length).toBeGreaterThan(10);
  expect(linked.filter((id) => !anchors.has(id))).toEqual([]);
});

test("HTML in a description is escaped", () => {
  const toHtml = createMarkdown(() => null);
  expect(toHtml("a <img src=x onerror=alert(1)> [b](javascript:alert(1)) `<i>`")).not.toMatch(/<img|<i>|javascript:/);
});

const program = "/usr/bin/chromium";
/** Outside CI a missing browser is reported and its tests are left out; in CI they fail. */
const browsers = existsSync(program) || process.env["CI"] ? ["Chromium"] : [];
if (browsers.length === 0) process.stderr.write(`\nSKIPPED: /docs in a browser. There is no ${program}\n\n`);

describe.each(browsers)("in %s", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
  }, 60_000);
  afterAll(() => browser.close());

  test("an example is sent with the key that the reader types, and nothing is requested from other hosts", async () => {
    const key = await proxy.createKey({ scopes: ["list"] });
    const page = await browser.newPage();
    const problems: string[] = [];
    const requested = new Set<string>();
    page.on("console", (message) => void (message.type() === "error" && problems.push(message.text())));
    page.on("pageerror", (error) => void problems.push(String(error)));
    page.on("request", (request) => void requested.add(new URL(request.url()).origin));
    await page.goto(`${proxy.url}/docs`);
    await page.fill('#credentials input[name="key"]', key);
    await page.click("#listEnvironments details:has(form) summary");
    await page.fill('#listEnvironments input[name="query:limit"]', "2");
    await page.click("#listEnvironments form button");
    await page.waitForFunction(() =>
      document.querySelector("#listEnvironments output")?.textContent?.startsWith("200"),
    );
    expect(await page.textContent("#listEnvironments output")).toContain('"hasNextPage": false');
    expect([problems, [...requested]]).toEqual([[], [proxy.url]]);
    expect(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie])).toEqual([
      0,
      0,
      "",
    ]);
    await page.reload();
    expect(await page.inputValue('#credentials input[name="key"]')).toBe("");
    await page.close();
  }, 60_000);

  test("a page fits a width of 360 pixels", async () => {
    const page = await browser.newPage({ viewport: { width: 360, height: 640 } });
    for (const path of ["/docs", "/docs/problems/overloaded"]) {
      await page.goto(`${proxy.url}${path}`);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
    }
    await page.close();
  }, 60_000);
});
