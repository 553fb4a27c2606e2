/** A small site in Chromium, with the configuration of the real one: search works, and the browser requests nothing from other hosts. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { describe, expect, onTestFinished, test } from "vitest";

const program = "/usr/bin/chromium";
const types: Readonly<Record<string, string>> = { html: "text/html", js: "text/javascript", css: "text/css" };

/** Outside CI a missing browser is reported and its test is left out; in CI it fails. */
const browsers = existsSync(program) || process.env["CI"] ? ["Chromium"] : [];
if (browsers.length === 0) process.stderr.write(`\nSKIPPED: the search of the site. There is no ${program}\n\n`);

async function buildSite(): Promise<string> {
  const cache = join(import.meta.dirname, "../.cache");
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "search-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const output = join(folder, ".built");
  await mkdir(join(folder, ".vitepress"));
  const options = {
    source: folder,
    output,
    base: "/",
    sections: [{ title: "Use", entries: [{ title: "B", page: "b.md" }] }],
  };
  const config = `import { siteConfig } from "../../../scripts/lib/config.mjs"; export default siteConfig(${JSON.stringify(options)});`;
  await writeFile(join(folder, ".vitepress/config.mjs"), config);
  await writeFile(join(folder, "index.md"), "# Home\n\n<b>markup</b> and {{ 1 + 1 }}\n");
  await writeFile(join(folder, "b.md"), "# Devices\n\n## Quokka settings\n\nA word that only this page has.\n");
  const vitepress = join(import.meta.dirname, "../node_modules/vitepress/bin/vitepress.js");
  // The environment of a test is not that of a build.
  const env = { PATH: process.env["PATH"] ?? "" };
  await promisify(execFile)(process.execPath, [vitepress, "build", folder, "--outDir", output], { env });
  return output;
}

describe.each(browsers)("in %s", () => {
  test("search works without a server, and loads nothing from other hosts", async () => {
    const folder = await buildSite();
    const server = createServer((request, response) => {
      const path = new URL(request.url ?? "/", "http://site").pathname;
      void readFile(join(folder, path === "/" ? "index.html" : path)).then(
        (body) => response.setHeader("content-type", types[path.split(".").at(-1) ?? ""] ?? "text/html").end(body),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    const foreign: string[] = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith("data:")) foreign.push(request.url());
    });
    await page.goto(origin);
    // Markup in a page is text: documentation shows it, and never runs it.
    expect(await page.textContent("main")).toContain("<b>markup</b>");
    await page.keyboard.press("Control+k");
    await page.fill("#localsearch-input", "quokka");
    const found = page.locator(".VPLocalSearchBox .result");
    await found.first().click();
    await page.waitForURL(/\/b\.html#quokka-settings$/);
    expect(foreign).toEqual([]);
  }, 90_000);
});
