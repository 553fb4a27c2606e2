/** The console in the first hour of an operator: by keyboard, with an outcome that is not known, and with a session that ends. */
import type { BrowserContext, Page } from "playwright-core";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { ScriptedDevice } from "@letta-environments/testkit";
import { inChromium, launchForTests } from "./support/console-tests.ts";
import { emit } from "./support/emit.ts";
import { nameAgent, openPage } from "./support/gateway.ts";

const scopes = ["list", "read", "send", "approve", "view", "control", "admin"] as const;

inChromium(() => {
  const launched = launchForTests();
  let device: ScriptedDevice;
  let context: BrowserContext;
  let key: string;
  let headers: Readonly<Record<string, string>>;

  beforeAll(async () => {
    headers = await launched.headersOf(...scopes);
    device = await launched.connect("desk");
  });

  afterEach(async () => {
    await context?.close();
  });

  /** Signs in by keyboard with a key of the test, since a key signs in ten times a minute at most, and opens a view. */
  async function open(view: string, expected?: RegExp) {
    key = await launched.gateway.proxy.createKey({ scopes: [...scopes] });
    context = await launched.browser.newContext();
    context.setDefaultTimeout(15_000);
    const watched = await openPage(context, launched.url, expected);
    await watched.page.goto(`${launched.url}/console/#${view}`);
    await signIn(watched.page, key);
    return watched;
  }

  /** The field of the key has the focus. */
  async function signIn(page: Page, secret: string): Promise<void> {
    await page.locator("#key:focus").waitFor();
    await page.keyboard.insertText(secret);
    await page.keyboard.press("Enter");
    await page.getByText("Live", { exact: true }).waitFor();
  }

  const focused = (page: Page): Promise<string> =>
    page.evaluate<string>("`${document.activeElement.id} ${document.activeElement.textContent}`");

  async function write(page: Page, text: string): Promise<void> {
    await nameAgent(page, "agent-1");
    await page.getByLabel("Message", { exact: true }).fill(text);
  }

  test("a device that was connected before anybody opened the console is shown as offline when it leaves", async () => {
    const early = await launched.connect("early");
    const { page, faults } = await open("/device/early");
    await page.getByText("online", { exact: true }).first().waitFor();
    const box = page.getByLabel("Message", { exact: true });
    await box.fill("half a");
    await early.close();
    await page.getByText("offline", { exact: true }).waitFor();
    await page.getByText("The device is offline. Nothing is queued for it.").waitFor();
    // Nobody who types loses the focus.
    await page.keyboard.type(" message");
    expect(await box.inputValue()).toBe("half a message");
    expect(faults).toEqual([]);
  });

  test("a message with an unknown outcome is repeated with its id, and the device receives it once", async () => {
    const { page } = await open("/device/desk", /504/);
    let isLost = true;
    const bodies: string[] = [];
    await page.route("**/messages", async (route) => {
      bodies.push(route.request().postData() ?? "");
      if (!isLost) return route.continue();
      // The device has the message; its acknowledgement is lost.
      await fetch(route.request().url(), { method: "POST", headers, body: bodies[0] ?? "" });
      const json = { status: 504, errorCode: "delivery_unknown", detail: "No acknowledgement." };
      return route.fulfill({ status: 504, contentType: "application/problem+json", json });
    });
    // Without events, which would say that the device has it.
    await page.route("**/v1/environments/events?*", (route) =>
      route.fulfill({
        status: 404,
        contentType: "application/problem+json",
        json: { errorCode: "endpoint_not_found" },
      }),
    );
    await page.reload();
    await write(page, "deploy once");
    await page.keyboard.press("Enter");
    const log = page.getByRole("log");
    await log.getByText("outcome unknown").waitFor();
    expect(await page.getByLabel("Message", { exact: true }).inputValue()).toBe("");
    await page.keyboard.press("Enter");
    await page.reload();
    await log.getByText("deploy once").waitFor();
    isLost = false;
    await log.getByRole("button", { name: "Repeat" }).click();
    await log.getByText("accepted").waitFor();
    expect(bodies).toHaveLength(2);
    expect(bodies[1]).toBe(bodies[0]);
    expect(await log.getByRole("button", { name: "Repeat" }).count()).toBe(0);
    const inputs = device.received.frames.filter((frame) => JSON.stringify(frame).includes("deploy once"));
    expect(inputs).toHaveLength(1);
  });

  test("an agent that is being typed is not replaced while the device reports something", async () => {
    const { page, faults } = await open("/device/desk");
    const agent = page.getByLabel("Agent", { exact: true });
    // A message of before may have filled it in.
    await nameAgent(page, "");
    await agent.pressSequentially("agent-ot");
    const delta = { message_type: "assistant_message", id: "said-1", content: [{ type: "text", text: "I work" }] };
    emit(device, { type: "stream_delta", delta });
    await page.getByRole("log").getByText("I work").waitFor();
    await agent.pressSequentially("her");
    expect(await agent.inputValue()).toBe("agent-other");
    await agent.press("Tab");
    expect(await agent.inputValue()).toBe("agent-other");
    await page.getByRole("log").getByText("Nothing was said").waitFor();
    expect(faults).toEqual([]);
  });

  test("typed text survives a change of view and the end of the session, but only for the same key", async () => {
    const { page } = await open("/device/desk", /401/);
    const long = `a long text ${"word ".repeat(1_000)}`.trim();
    await write(page, long);
    await page.getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.goBack();
    const box = page.getByLabel("Message", { exact: true });
    await expect.poll(() => box.inputValue()).toBe(long);
    // Enter sends nothing before the past has named the agent.
    await page.getByRole("button", { name: "change agent or conversation" }).waitFor();
    await box.focus();
    // From now on the first request ends the session: that of Enter, or one of the view that has just opened.
    await context.clearCookies();
    await page.keyboard.press("Enter");
    await page.getByText("Your session has ended.").waitFor();
    await signIn(page, key);
    await expect.poll(() => box.inputValue()).toBe(long);
    // What went wrong in the last session is not said in this one.
    expect(await page.getByRole("region", { name: "Messages" }).textContent()).toBe("");
    await box.focus();
    await context.clearCookies();
    await page.keyboard.press("Enter");
    await page.getByText("Your session has ended.").waitFor();
    await signIn(page, await launched.gateway.proxy.createKey({ scopes: ["list", "read", "send"] }));
    // Another key does not begin where the last one ended.
    await page.getByRole("heading", { name: "Devices" }).waitFor();
    await page.evaluate("location.hash = '#/device/desk'");
    await box.waitFor();
    expect(await box.inputValue()).toBe("");
  });

  test("a message that was refused late does not replace what was typed in the meantime", async () => {
    const { page } = await open("/device/desk", /409/);
    const box = page.getByLabel("Message", { exact: true });
    let refuse: (() => void) | undefined;
    await page.route("**/messages", async (route) => {
      await new Promise<void>((resolve) => (refuse = resolve));
      const type = "urn:letta-environments:problem:input_rejected";
      const json = { type, title: "Refused", status: 409, errorCode: "input_rejected", detail: "Not now." };
      await route.fulfill({ status: 409, contentType: "application/problem+json", json });
    });
    await write(page, "the first message");
    await page.keyboard.press("Enter");
    await expect.poll(() => refuse).toBeDefined();
    await page.getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.goBack();
    await box.fill("the second message");
    refuse?.();
    await page.getByText("Not now.").waitFor();
    await page.getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.goBack();
    await expect.poll(() => box.inputValue()).toBe("the second message");
    await box.fill("");
  });

  test("a view that could not be loaded is loaded when the user tries again, without a reload of the page", async () => {
    const { page } = await open("/devices", /ERR_FAILED/);
    await page.evaluate("globalThis.isSamePage = true");
    await page.route("**/console/*.js", (route) => route.abort());
    await page.getByRole("link", { name: "Keys" }).click();
    await page.getByText("This part of the console could not be loaded").waitFor();
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("This part of the console could not be loaded").waitFor();
    await page.unroute("**/console/*.js");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "Keys" }).waitFor();
    expect(await page.evaluate<boolean>("globalThis.isSamePage")).toBe(true);
  });

  test("a dialog focuses its first field, and neither a click outside nor Escape closes a secret that is shown once", async () => {
    const { page, faults } = await open("/devices");
    await page.getByRole("button", { name: "Invite a device" }).press("Enter");
    await page.locator("#invite-name:focus").waitFor();
    await page.keyboard.type("attic");
    await page.keyboard.press("Enter");
    const command = page.getByRole("textbox", { name: "Command for the device" });
    await command.waitFor();
    expect(await focused(page)).toBe(" Copy");
    await page.getByText("Its address works only on the machine of the gateway.").waitFor();
    await page.mouse.click(5, 300);
    for (let press = 0; press < 3; press += 1) await page.keyboard.press("Escape");
    await command.waitFor();
    expect(await page.getByRole("button", { name: "Close" }).count()).toBe(0);
    await page.getByRole("button", { name: "Done" }).click();
    await expect.poll(() => command.count()).toBe(0);
    expect(await focused(page)).toBe(" Invite a device");
    await page.getByRole("link", { name: "Keys" }).click();
    const card = page.getByRole("article").filter({ hasText: "attic" });
    await card.getByText("May connect one new device.").waitFor();
    expect(await card.textContent()).not.toContain("no expiry");
    expect(faults).toEqual([]);
  });

  test("the menu of the session closes on Escape and when the focus leaves it, and its text can be selected", async () => {
    const { page, faults } = await open("/devices");
    const menu = page.locator("details.menu");
    const isOpen = (): Promise<boolean> => menu.evaluate((element) => element.hasAttribute("open"));
    await menu.locator("summary").press("Enter");
    expect(await isOpen()).toBe(true);
    await page.keyboard.press("Escape");
    expect(await isOpen()).toBe(false);
    await menu.locator("summary").click();
    await menu.locator("code").click();
    expect(await isOpen()).toBe(true);
    await page.mouse.click(300, 400);
    expect(await isOpen()).toBe(false);
    expect(faults).toEqual([]);
  });

  test("at a width of 360 pixels the current navigation entry is visible, and the focus is on the heading of the view", async () => {
    const { page, faults } = await open("/devices");
    await page.setViewportSize({ width: 360, height: 700 });
    await page.evaluate(`location.hash = "/audit"`);
    await page.getByRole("heading", { name: "Audit log" }).waitFor();
    const right = "document.querySelector('[aria-current]').getBoundingClientRect().right";
    await expect.poll(() => page.evaluate<number>(right)).toBeLessThanOrEqual(360);
    await expect.poll(() => focused(page)).toMatch(/^ Audit log/);
    expect(faults).toEqual([]);
  });
});
