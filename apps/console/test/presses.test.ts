/** Presses on cards of requests in Chromium that were meant for what was at that place before. */
import type { Locator, Page } from "playwright-core";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { ScriptedDevice } from "@letta-environments/testkit";
import { inChromium, launchForTests, signInOperator } from "./support/console-tests.ts";
import { emit } from "./support/emit.ts";
import { allowRequest, holdTime, passTime, settleCards } from "./support/gateway.ts";

inChromium(() => {
  const launched = launchForTests();
  const operator = signInOperator(launched, 15_000);
  let device: ScriptedDevice;
  let headers: Readonly<Record<string, string>>;
  let page: Page;
  let faults: readonly string[];
  /** The ids of the requests that wait. */
  const waiting: string[] = [];
  let requests = 0;

  beforeAll(async () => {
    headers = await launched.headersOf("send", "approve");
    device = await launched.connect("desk");
  });

  /** Another user allows the requests, which no press has decided. */
  const decideElsewhere = async (): Promise<void> => {
    for (const id of waiting.splice(0))
      expect(await allowRequest(launched.url, headers, device.connectionId, id)).toBe(200);
  };

  afterEach(decideElsewhere);

  async function open(view: string, width: number, expected?: RegExp): Promise<void> {
    const prepare = (opened: Page): Promise<void> => opened.setViewportSize({ width, height: 844 });
    ({ page, faults } = await operator.open(view, expected, prepare));
  }

  /** The device asks for permission to run a command, and suggests lasting permissions. Returns the card. */
  async function ask(command: string, ...suggestions: readonly string[]): Promise<Locator> {
    requests += 1;
    const id = `call-${requests}`;
    waiting.push(id);
    const permission_suggestions = suggestions.map((text) => ({ id: text, text }));
    const asked = { subtype: "can_use_tool", tool_name: "Bash", input: { command }, tool_call_id: id };
    const request = { ...asked, permission_suggestions };
    emit(device, { type: "control_request", request_id: `perm-${id}`, request });
    // Also behind a dialog, where it has no role.
    const card = page.locator("article").filter({ hasText: command.slice(0, 12) });
    await card.waitFor();
    return card;
  }

  /** So much time passes that a press counts for a card. */
  async function settle(card: Locator): Promise<void> {
    await settleCards(page);
    await card.locator("button[aria-disabled=false]").first().waitFor();
  }

  /** Presses a button of a card that has kept still. */
  async function press(card: Locator, name: string | RegExp): Promise<void> {
    const button = card.getByRole("button", { name });
    await button.scrollIntoViewIfNeeded();
    await settle(card);
    await button.click();
  }

  /** The middle of an element, in the window. */
  async function middleOf(target: Locator): Promise<readonly [x: number, y: number]> {
    const { x = 0, y = 0, width = 0, height = 0 } = (await target.boundingBox()) ?? {};
    return [x + width / 2, y + height / 2];
  }

  const textAt = (x: number, y: number): Promise<string> =>
    page.evaluate<string>(`document.elementFromPoint(${x}, ${y}).textContent`);

  /** Scrolls the page so that a button is behind another element, and presses that twice. Nothing may be decided. */
  async function pressTwice(front: Locator, card: Locator): Promise<void> {
    const suggestion = card.locator(".suggestion");
    const [x, y] = await middleOf(front);
    const [, top] = await middleOf(suggestion);
    await page.evaluate(`scrollBy(0, ${top - y})`);
    await settle(card);
    await page.mouse.dblclick(x, y);
    expect(await textAt(x, y)).toContain("from now on");
    expect(await suggestion.getAttribute("disabled")).toBe(null);
  }

  test.each(["/approvals", "/device/desk"])(
    "a double click on Cancel does not grant the permission that takes its place (%s)",
    async (view) => {
      await open(view, 390);
      await holdTime(page);
      const card = await ask("npm test", "Yes, and don't ask again for 'npm test' commands in this project");
      await settle(card);
      await card.getByRole("button", { name: "Deny …" }).click();
      await settleCards(page);
      const [x, y] = await middleOf(card.getByRole("button", { name: "Cancel" }));
      await page.mouse.dblclick(x, y);
      expect(await textAt(x, y)).toContain("from now on");
      expect(await card.locator(".suggestion").getAttribute("disabled")).toBe(null);
      expect(faults).toEqual([]);
    },
  );

  test("a permission that replaces another one in the row does not receive its press", async () => {
    await open("/approvals", 900);
    await holdTime(page);
    const wide = "Run every command without asking, in every folder";
    const card = await ask("npm test", wide, "Run npm test in this project again without asking");
    const [first, second] = [card.locator(".suggestion").first(), card.locator(".suggestion").last()];
    const topOf = async (target: Locator): Promise<number> => (await middleOf(target))[1];
    let width = 900;
    // The narrowest page on which the first of them is beside Allow.
    for (const step of [40, 5, 1]) {
      const top = await topOf(card.locator(".primary"));
      do await page.setViewportSize({ width: (width -= step), height: 844 });
      while ((await topOf(first)) - top < 20);
      await page.setViewportSize({ width: (width += step), height: 844 });
    }
    await settle(card);
    const [x, y] = await middleOf(second);
    await page.setViewportSize({ width: width - 1, height: 844 });
    expect(await textAt(x, y)).toContain(wide);
    await page.mouse.click(x, y);
    expect(await first.getAttribute("disabled")).toBe(null);
    // Neither does a press that began then, however long it lasts.
    await settle(card);
    await page.setViewportSize({ width, height: 844 });
    await page.mouse.move(x, y);
    await page.mouse.down();
    await settle(card);
    await page.mouse.up();
    expect(await second.getAttribute("disabled")).toBe(null);
    expect(faults).toEqual([]);
  });

  test("a button behind a dialog or message that has just closed ignores a press", async () => {
    await open("/approvals", 390, /504/);
    await holdTime(page);
    const long = await ask(`long command ${"x ".repeat(20_000)}`);
    const behind = await ask("behind", "word ".repeat(30).trim());
    const failing = await ask("failing");
    for (let count = 0; count < 6; count += 1) await ask(`below ${count}`);
    await press(long, "Allow …");
    await pressTwice(page.getByRole("dialog").getByRole("button", { name: "Cancel" }), behind);
    await page.route("**/messages", (route) => {
      const json = { status: 504, errorCode: "delivery_unknown", detail: "No acknowledgement." };
      return route.fulfill({ status: 504, contentType: "application/problem+json", json });
    });
    await press(failing, /^Allow$/);
    await pressTwice(page.getByRole("button", { name: "Dismiss" }), behind);
    expect(faults).toEqual([]);
  });

  test.each([
    ["Escape", async () => page.keyboard.press("Escape")],
    ["a click", async (card: Locator) => card.getByRole("heading").click()],
    [
      "Shift+Tab",
      async () => {
        do await page.keyboard.press("Shift+Tab");
        while ((await page.evaluate("document.activeElement.localName")) !== "article");
      },
    ],
  ])(
    "a letter that follows the text of a reason does not allow the request after %s has left its field",
    async (_, leave) => {
      await open("/approvals", 900);
      await holdTime(page);
      const card = await ask("npm test");
      await card.focus();
      await settle(card);
      await page.keyboard.press("d");
      await card.getByLabel("Reason for the agent").pressSequentially("no, use ");
      await leave(card);
      expect(await page.evaluate("document.activeElement.localName")).toBe("article");
      await page.keyboard.press("a");
      expect(await card.locator(".danger, .primary").getAttribute("disabled")).toBe(null);
      expect(faults).toEqual([]);
    },
  );

  test("Escape that ends an IME composition does not leave the reason field", async () => {
    await open("/approvals", 900);
    const card = await ask("npm test");
    await card.focus();
    await settle(card);
    await page.keyboard.press("d");
    const field = card.getByLabel("Reason for the agent");
    await field.dispatchEvent("keydown", { key: "Escape", isComposing: true });
    expect(await field.count()).toBe(1);
    await field.dispatchEvent("keydown", { key: "Escape" });
    await field.waitFor({ state: "detached" });
    expect(faults).toEqual([]);
  });

  test("a dialog that has not moved accepts a press, although its card moved behind it", async () => {
    await open("/approvals", 900);
    await holdTime(page);
    const above = await ask("above");
    const card = await ask(`long command ${"x ".repeat(20_000)}`);
    await press(card, "Allow …");
    const allow = page.getByRole("dialog").getByRole("button", { name: "Allow" });
    await settleCards(page, allow);
    const [id = ""] = waiting.splice(0);
    expect(await allowRequest(launched.url, headers, device.connectionId, id)).toBe(200);
    await above.waitFor({ state: "detached" });
    await allow.click();
    await card.waitFor({ state: "detached" });
    expect(faults).toEqual([]);
  });

  test("letter keys decide nothing right after a failed decision by letter key", async () => {
    await open("/approvals", 900, /409/);
    await holdTime(page);
    const card = await ask("npm test");
    await card.focus();
    await settle(card);
    const sent: string[] = [];
    await page.route("**/messages*", async (route) => {
      if (route.request().method() !== "POST") return route.continue();
      sent.push(route.request().url());
      // However long it takes: the reader may be typing meanwhile.
      await passTime(page, 600);
      const body = JSON.stringify({ type: "about:blank", status: 409, title: "Refused", errorCode: "device_offline" });
      return route.fulfill({ status: 409, contentType: "application/problem+json", body });
    });
    await page.keyboard.press("a");
    await expect.poll(() => sent.length).toBe(1);
    await card.locator(".primary:not([disabled])").waitFor();
    await page.keyboard.press("a");
    await settle(card);
    await page.keyboard.press("d");
    await card.getByRole("textbox").waitFor();
    expect(sent.length).toBe(1);
    await page.unroute("**/messages*");
    expect(faults).toEqual([]);
  });
});
