/** The page in Chromium, in front of a real gateway that allows its origin. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { describe, expect, onTestFinished, test } from "vitest";
import { launchGatewayWithDevice, servePage } from "./support.ts";

const program = "/usr/bin/chromium";

/** Outside CI a missing browser is reported and its test is left out; in CI it fails. */
const browsers = existsSync(program) || process.env["CI"] ? ["Chromium"] : [];
if (browsers.length === 0) process.stderr.write(`\nSKIPPED: the example in a web page. There is no ${program}\n\n`);

describe.each(browsers)("in %s", () => {
  test("a person enters a key, chooses a device and sends a task; a wrong key gets a readable explanation", async () => {
    let html = "";
    const pages = await servePage(() => html);
    onTestFinished(pages.close);
    const gateway = await launchGatewayWithDevice([pages.origin]);
    onTestFinished(gateway.stop);
    const source = resolve(import.meta.dirname, "../src/web-page.ts");
    const contents = `import { connectPage } from ${JSON.stringify(source)}; connectPage(document, ${JSON.stringify(gateway.url)});`;
    const stdin = { contents, resolveDir: import.meta.dirname, loader: "ts" } as const;
    const { outputFiles } = await build({ stdin, bundle: true, format: "esm", platform: "browser", write: false });
    html = `<!doctype html><form><input name="key" type="password"><select name="device"></select><input name="agent">
<input name="task"><button>Send</button></form><output></output><script type="module">${outputFiles[0]?.text ?? ""}</script>`;

    const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(pages.origin);
    await page.fill("[name=key]", "lek_wrong");
    await page.press("[name=key]", "Tab");
    await page.waitForFunction("document.querySelector('output').textContent.startsWith('invalid_key')");
    await page.fill("[name=key]", gateway.apiKey);
    await page.press("[name=key]", "Tab");
    await page.waitForSelector("option[value=device-1]", { state: "attached" });
    await page.fill("[name=agent]", "agent-1");
    await page.fill("[name=task]", "from a page");
    await page.click("button");
    await page.waitForFunction("document.querySelector('output').textContent === 'started'");
    expect(gateway.messages()).toContain("from a page");
  }, 60_000);
});
