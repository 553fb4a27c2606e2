/** The list of many devices in Chromium. `programs/thousand-devices.ts` measures it. */
import { connectScriptedDevice, type ScriptedDevice } from "@letta-environments/testkit";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ConsoleGateway, launchBrowser, launchConsoleGateway } from "./support/gateway.ts";

const count = 250;
let gateway: ConsoleGateway;
let browser: Browser;
const devices: ScriptedDevice[] = [];

beforeAll(async () => {
  [gateway, browser] = await Promise.all([launchConsoleGateway({ rateLimits: { enabled: false } }), launchBrowser()]);
  const apiKey = await gateway.proxy.createKey({ scopes: ["connect"] });
  for (let index = 0; index < count; index++) {
    const deviceId = `device-${String(index).padStart(3, "0")}`;
    devices.push(await connectScriptedDevice({ baseUrl: gateway.proxy.url, apiKey, deviceId }));
  }
});

afterAll(async () => {
  await browser?.close();
  for (const device of devices) await device.terminate().catch(() => undefined);
  await gateway?.stop();
});

test("when a search is cleared, at most a hundred rows appear per frame, until all are shown in order", async () => {
  const page = await browser.newPage();
  await page.goto(await gateway.link());
  await page.getByText(`${count} devices, ${count} online`).waitFor();
  const search = page.getByLabel("Search devices");
  await search.fill("device-007");
  await page.waitForFunction("document.querySelectorAll('.row').length === 2");
  const added = await page.evaluate<number[]>(recordRows(count));
  expect(added.length).toBeGreaterThan(1);
  expect(Math.max(...added)).toBeLessThanOrEqual(100);
  const names = await page.getByRole("row").getByRole("link").allTextContents();
  expect(names).toEqual(devices.map((_, index) => `device-${String(index).padStart(3, "0")}`));
});

test("going back restores the scroll position and focus of the list, and the page title names the device", async () => {
  const page = await browser.newPage();
  await page.goto(await gateway.link());
  await page.getByText(`${count} devices, ${count} online`).waitFor();
  await page.waitForFunction(`document.querySelectorAll(".row:not(.head)").length === ${count}`);
  const link = page.getByRole("link", { name: "device-240" });
  await link.focus();
  // Not the distance from the top of the page: rows above that were not drawn yet have no exact height.
  const offset = "document.activeElement.getBoundingClientRect().top";
  await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
  const before = await page.evaluate<number>(offset);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "device-240" }).waitFor();
  await expect.poll(() => page.evaluate("document.activeElement.tagName")).toBe("H1");
  await expect.poll(() => page.title()).toBe("device-240 · Letta gateway");
  expect(await page.evaluate("scrollY")).toBe(0);
  await page.goBack();
  await expect.poll(() => page.evaluate("document.activeElement.textContent")).toBe("device-240");
  await expect.poll(() => page.evaluate(`Math.abs(${offset} - ${before})`)).toBeLessThan(1);
  expect(await page.evaluate("scrollY")).toBeGreaterThan(1_000);
  await page.getByRole("link", { name: "Keys" }).click();
  // The link has the focus, and the same text, until the view is there.
  await expect.poll(() => page.title()).toBe("Keys · Letta gateway");
  await expect.poll(() => page.evaluate("document.activeElement.textContent")).toBe("Keys");
  await expect.poll(() => page.evaluate("scrollY")).toBe(0);
});

/** Clears the search, and resolves with the number of rows that each change of the page added once all are there. */
function recordRows(total: number): string {
  return `new Promise((resolve) => {
    const added = [];
    new MutationObserver((records) => {
      const nodes = records.flatMap((record) => [...record.addedNodes]);
      const rows = nodes.flatMap((node) => node.matches?.(".row") ? [node] : [...(node.querySelectorAll?.(".row") ?? [])]);
      if (rows.length > 0) added.push(rows.length);
      if (document.querySelectorAll(".row:not(.head)").length === ${total}) resolve(added);
    }).observe(document.querySelector("main"), { childList: true, subtree: true });
    const input = document.querySelector("input[type=search]");
    input.value = "";
    input.dispatchEvent(new Event("input", { bubbles: true }));
  })`;
}
