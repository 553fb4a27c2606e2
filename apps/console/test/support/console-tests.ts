/** Set-up of the tests in Chromium: a browser, a gateway with scripted devices, and an operator who has signed in. */
import { existsSync } from "node:fs";
import process from "node:process";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { connectScriptedDevice, type ScriptedDevice } from "@letta-environments/testkit";
import {
  chromiumPath,
  type ConsoleGateway,
  launchBrowser,
  launchConsoleGateway,
  openPage,
  type WatchedPage,
} from "./gateway.ts";

/** Outside CI a missing browser is reported and its tests are left out; in CI they fail. */
const browsers = existsSync(chromiumPath) || process.env["CI"] ? ["Chromium"] : [];
if (browsers.length === 0) process.stderr.write(`\nSKIPPED: the console in a browser. There is no ${chromiumPath}\n\n`);

/** Defines tests that need the browser. */
export function inChromium(define: () => void): void {
  describe.each(browsers)("in %s", () => {
    define();
  });
}

/** A gateway and a browser for the tests of a `describe`. They exist while its hooks and tests run. */
export interface Launched {
  readonly gateway: ConsoleGateway;
  /** The address of the gateway. */
  readonly url: string;
  readonly browser: Browser;
  /** Connects a scripted device, which is closed after the tests. */
  connect(deviceId: string, connectionName?: string): Promise<ScriptedDevice>;
  /** The headers of requests with a new key. */
  headersOf(...scopes: Parameters<ConsoleGateway["proxy"]["createKey"]>[0]["scopes"]): Promise<Record<string, string>>;
}

/** Launches a {@link Launched} before the tests, and stops it after them. */
export function launchForTests(): Launched {
  let gateway: ConsoleGateway;
  let browser: Browser;
  let deviceKey: Promise<string> | undefined;
  const devices: ScriptedDevice[] = [];
  beforeAll(async () => {
    [gateway, browser] = await Promise.all([launchConsoleGateway(), launchBrowser()]);
  });
  afterAll(async () => {
    await Promise.all(devices.map((device) => device.close()));
    await browser?.close();
    await gateway?.stop();
  });
  return {
    get gateway() {
      return gateway;
    },
    get url() {
      return gateway.proxy.url;
    },
    get browser() {
      return browser;
    },
    async connect(deviceId, connectionName = deviceId) {
      deviceKey ??= gateway.proxy.createKey({ scopes: ["connect"] });
      const apiKey = await deviceKey;
      const device = await connectScriptedDevice({ baseUrl: gateway.proxy.url, apiKey, deviceId, connectionName });
      devices.push(device);
      return device;
    },
    async headersOf(...scopes) {
      const key = await gateway.proxy.createKey({ scopes });
      return { authorization: `Bearer ${key}`, "content-type": "application/json" };
    },
  };
}

/** A session with every right, for the tests of a `describe`. */
export interface Operator {
  readonly context: BrowserContext;
  /**
   * Opens a view on a page that is closed after the test.
   *
   * @param expected errors of the browser's console that the test causes
   * @param prepare changes the page before it loads
   */
  open(view: string, expected?: RegExp, prepare?: (page: Page) => Promise<unknown>): Promise<WatchedPage>;
}

/** Signs an {@link Operator} in before the tests. @param timeoutMs how long a page may take to become what a test waits for */
export function signInOperator(launched: Launched, timeoutMs: number): Operator {
  let context: BrowserContext;
  let watched: WatchedPage | undefined;
  beforeAll(async () => {
    context = await launched.browser.newContext();
    context.setDefaultTimeout(timeoutMs);
    const page = await context.newPage();
    await page.goto(await launched.gateway.link());
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    await page.close();
  });
  afterEach(() => watched?.page.close());
  return {
    get context() {
      return context;
    },
    async open(view, expected, prepare) {
      const { url } = launched;
      watched = await openPage(context, url, expected);
      const { page } = watched;
      await prepare?.(page);
      const id = /^\/device\/([^?]+)/.exec(view)?.[1];
      // What a device says before the page follows it is not shown.
      const isFollowed = id === undefined ? null : page.waitForResponse(new RegExp(`/events\\?.*${id}`));
      await page.goto(`${url}/console/#${view}`);
      await page.getByText("Live", { exact: true }).waitFor();
      await isFollowed;
      return watched;
    },
  };
}
