/** A gateway with the console, real devices on it, and Chromium that has signed in. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core";
import {
  demoAgentId,
  launchDevice,
  launchDeviceWith,
  type LaunchedDevice,
  type LaunchedProxy,
  launchProxy,
  runLettaProxy,
} from "@letta-environments/testkit";

/** The browser of Debian. */
export const chromiumPath = "/usr/bin/chromium";

/** Starts the browser without anything that talks to other hosts. */
export function launchBrowser(): Promise<Browser> {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath: chromiumPath, args: [...args, ...quiet] });
}

/** A gateway with the console. */
export interface ConsoleGateway {
  readonly proxy: LaunchedProxy;
  /** Prints a sign-in link. */
  link(...options: readonly string[]): Promise<string>;
  /** Starts a real device with its own key. */
  connectDevice(deviceId: string, asksPermission?: boolean): Promise<LaunchedDevice & { readonly key: string }>;
  /** Starts a real device with the command of an invitation. */
  connectInvited(command: string, deviceId: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a {@link ConsoleGateway}. @param config its configuration file */
export async function launchConsoleGateway(config: object = {}): Promise<ConsoleGateway> {
  const folder = await mkdtemp(join(tmpdir(), "console-gateway-"));
  const file = join(folder, "proxy.config.json");
  await writeFile(file, JSON.stringify(config));
  const proxy = await launchProxy({ args: ["--console", "--config", file] });
  const devices: LaunchedDevice[] = [];
  return {
    proxy,
    async link(...options) {
      const location = ["--data-dir", proxy.dataDir, "--gateway", proxy.url];
      return (await runLettaProxy(["console", "link", ...location, ...options])).stdout.trim();
    },
    async connectDevice(deviceId, asksPermission = false) {
      const key = await proxy.createKey({ scopes: ["connect"] });
      const device = await launchDevice({ baseUrl: proxy.url, apiKey: key, deviceId, asksPermission });
      devices.push(device);
      return { ...device, key };
    },
    async connectInvited(command, deviceId) {
      devices.push(await launchDeviceWith({ command, deviceId }));
    },
    async stop() {
      await Promise.all(devices.map((device) => device.stop().catch(() => undefined)));
      await proxy.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Allows a request for permission over the API, as another user may do. Returns the status of the response. */
export async function allowRequest(
  url: string,
  headers: Readonly<Record<string, string>>,
  connectionId: string,
  id: string,
): Promise<number> {
  const messages = [{ type: "approval", approvals: [{ type: "approval", tool_call_id: id, approve: true }] }];
  const body = JSON.stringify({ agentId: "agent-1", messages });
  return (await fetch(`${url}/v1/environments/${connectionId}/messages`, { method: "POST", headers, body })).status;
}

/** A page that records what must not happen: errors in the console, violations of the policy, requests to other hosts. */
export interface WatchedPage {
  readonly page: Page;
  readonly faults: readonly string[];
}

/** Opens a page that is watched. @param expected errors of the browser's console that a test causes, such as a refused request */
export async function openPage(context: BrowserContext, origin: string, expected: RegExp = /^$/): Promise<WatchedPage> {
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" && !expected.test(message.text())) faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`request to ${request.url()}`);
  });
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective, event.blockedURI))",
  );
  await page.addInitScript(clockScript);
  return { page, faults };
}

/** The monotonic clock of a page, which runs by itself until a test holds it. */
const clockScript = `{
  const real = performance.now.bind(performance);
  let [held, passed] = [null, 0];
  performance.now = () => (held ?? real()) + passed;
  globalThis.testClock = { hold: () => void (held = real()), pass: (time) => void (passed += time) };
}`;

/** Holds the monotonic clock of a page: time passes only by {@link passTime}. */
export function holdTime(page: Page): Promise<void> {
  return page.evaluate("testClock.hold()");
}

/** Lets a time pass on the monotonic clock of a page at once. */
export function passTime(page: Page, milliseconds: number): Promise<void> {
  return page.evaluate(`testClock.pass(${milliseconds})`);
}

/** Names the agent of the message box, whose field is hidden once an agent is known. */
export async function nameAgent(page: Page, id: string): Promise<void> {
  const agent = page.getByLabel("Agent", { exact: true });
  const change = page.getByRole("button", { name: "change agent or conversation" });
  await agent.or(change).first().waitFor();
  // The past may name the agent, too.
  await page.getByRole("log").getByText("Loading …").waitFor({ state: "hidden" });
  if (await change.isVisible()) await change.click();
  // The field disappears if an event names the agent just now.
  await agent.fill(id, { timeout: 3_000 }).catch(async () => {
    await change.click();
    await agent.fill(id);
  });
}

/**
 * Lets so much time pass on the monotonic clock of a page that a press counts for every card as it is now. A button that is about to be clicked is
 * scrolled into view before and enabled afterwards; otherwise Playwright scrolls, which moves the card.
 */
export async function settleCards(page: Page, button?: Locator): Promise<void> {
  await button?.scrollIntoViewIfNeeded();
  // Each card looks at its buttons.
  const press = `card.dispatchEvent(new Event("pointerdown"))`;
  await page.evaluate(`for (const card of document.querySelectorAll(".approval")) ${press}`);
  await passTime(page, 600);
  await button?.and(page.locator("[aria-disabled=false], :not([aria-disabled])")).waitFor();
}

/** Sends a message by keyboard to the device whose view is open, once the device is online. */
export async function say(page: Page, text: string): Promise<void> {
  await nameAgent(page, demoAgentId);
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send", exact: true }).click({ trial: true });
  await page.keyboard.press("Enter");
}
