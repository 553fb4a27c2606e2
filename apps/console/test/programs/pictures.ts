/** Writes the pictures of the documentation, from a running gateway with real devices: `node apps/console/test/programs/pictures.ts`. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { BrowserContext, Page } from "playwright-core";
import { launchBrowser, launchConsoleGateway, say } from "../support/gateway.ts";

const folder = join(import.meta.dirname, "../../../../docs/images");
const labels = [
  { deviceId: "laptop", displayName: "Laptop", tags: ["desk"] },
  { deviceId: "ci-runner-1", displayName: "CI runner 1", tags: ["ci", "linux"] },
  { deviceId: "ci-runner-2", displayName: "CI runner 2", tags: ["ci", "linux"] },
  { deviceId: "workshop", displayName: "Workshop", tags: ["gpu"] },
];

async function open(context: BrowserContext, url: string, view: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${url}/console/#${view}`);
  await page.getByText("Live", { exact: true }).waitFor();
  return page;
}

await mkdir(folder, { recursive: true });
const [gateway, browser] = await Promise.all([launchConsoleGateway(), launchBrowser()]);
try {
  const { url } = gateway.proxy;
  const light = await browser.newContext({ viewport: { width: 1120, height: 460 }, colorScheme: "light" });
  const first = await light.newPage();
  await first.goto(await gateway.link());
  await first.getByText("No devices yet").waitFor();
  await first.close();
  for (const { deviceId } of labels) {
    const device = await gateway.connectDevice(deviceId, deviceId.startsWith("ci"));
    await device.process.waitForOutput(/Connected\. Awaiting instructions/);
  }
  const admin = await gateway.proxy.createKey({ scopes: ["admin"] });
  for (const { deviceId, ...patch } of labels) {
    const headers = { authorization: `Bearer ${admin}`, "content-type": "application/json" };
    await fetch(`${url}/v1/environments/${deviceId}`, { method: "PATCH", headers, body: JSON.stringify(patch) });
  }
  for (const runner of ["ci-runner-1", "ci-runner-2"]) {
    const page = await open(light, url, `/device/${runner}`);
    await say(page, "Read $TRANSCRIPT_PATH");
    await page.getByRole("article").waitFor();
    await page.close();
  }
  const workshop = await open(light, url, "/device/workshop");
  await say(workshop, "ping");
  await workshop
    .getByText(/finished in/)
    .first()
    .waitFor();
  await workshop.close();
  await picture(light, url, "/devices", "console-devices");
  await picture(light, url, "/approvals", "console-approvals");
  const state = await light.storageState();
  const dark = await browser.newContext({
    viewport: { width: 1120, height: 620 },
    colorScheme: "dark",
    storageState: state,
  });
  const laptop = await open(dark, url, "/device/laptop");
  for (const [index, text] of ["Is the build green?", "ping"].entries()) {
    await say(laptop, text);
    await laptop
      .getByRole("log")
      .getByText(/finished in/)
      .nth(index)
      .waitFor();
  }
  await save(laptop, "console-device-dark");
  await picture(dark, url, "/keys", "console-keys-dark");
} finally {
  await browser.close();
  await gateway.stop();
}

async function picture(context: BrowserContext, url: string, view: string, name: string): Promise<void> {
  const page = await open(context, url, view);
  await page.locator('.row:not(.head), .approval:has([aria-disabled="false"]), .line.said, .key').first().waitFor();
  await save(page, name);
}

async function save(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled" });
  process.stdout.write(`docs/images/${name}.png\n`);
  await page.close();
}
