/** The cards of requests for permission in Chromium: what they show, and which presses decide on which of them. */
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
  let requests = 0;

  beforeAll(async () => {
    headers = await launched.headersOf("list", "read", "send", "approve");
    device = await launched.connect("desk");
  });

  afterEach(async () => {
    // The requests that a test leaves would wait in the next one too.
    const response = await fetch(`${launched.url}/v1/environments/approvals`, { headers });
    const { approvals } = (await response.json()) as { readonly approvals: readonly { readonly id: string }[] };
    for (const { id } of approvals) await decideElsewhere(id);
  });

  async function open(view: string, expected?: RegExp): Promise<void> {
    ({ page, faults } = await operator.open(view, expected));
  }

  const focused = () => page.evaluate<string>("`${document.activeElement.id} ${document.activeElement.textContent}`");

  /** The device asks for permission to run some commands, one after the other, so that their order is known. */
  async function ask(...commands: readonly string[]): Promise<void> {
    for (const command of commands) {
      send({ command });
      await page.getByRole("article").filter({ hasText: command }).waitFor();
    }
  }

  /** The device asks for permission. @param isNew whether under a new id */
  function send(input: Readonly<Record<string, unknown>>, isNew = true): void {
    if (isNew) requests += 1;
    const id = `call-${requests}`;
    const request = { subtype: "can_use_tool", tool_name: "Bash", input, tool_call_id: id };
    emit(device, { type: "control_request", request_id: `perm-${id}`, request });
  }

  const settle = (button?: Locator): Promise<void> => settleCards(page, button);
  /** The button of a card. While a decision is in flight, it is disabled. */
  const allow = (text: string | RegExp) =>
    page.getByRole("article").filter({ hasText: text }).locator("button").filter({ hasText: "Allow" }).first();

  const expectUndecided = async (text: string): Promise<void> =>
    expect(await allow(text).getAttribute("disabled")).toBe(null);

  /** Another user allows a request. */
  const decideElsewhere = async (id: string): Promise<void> =>
    expect(await allowRequest(launched.url, headers, device.connectionId, id)).toBe(200);

  test("requests are decided one after the other by keyboard: each decision passes the focus to the next card", async () => {
    await open("/approvals");
    await ask("first command", "second command", "third command", "fourth command");
    await page.getByText("4 waiting").waitFor();
    await page.keyboard.press("j");
    expect(await focused()).toContain("first command");
    await settle();
    await page.keyboard.press("A");
    await page.getByText("3 waiting").waitFor();
    await expect.poll(() => focused()).toContain("second command");
    await page.getByRole("button", { name: "Allow", exact: true }).first().focus();
    await settle();
    await page.keyboard.press("Enter");
    await page.getByText("2 waiting").waitFor();
    await expect.poll(() => focused()).toContain("third command");
    await settle();
    for (const key of ["d", "Escape", "a"]) await page.keyboard.press(key);
    await expectUndecided("third command");
    await settle();
    await page.keyboard.press("d");
    await page.keyboard.type("no");
    await page.keyboard.press("Enter");
    await page.getByText("1 waiting").waitFor();
    await expect.poll(() => focused()).toContain("fourth command");
    await settle();
    await page.keyboard.press("a");
    await page.getByText("Nothing waits for you").waitFor();
    await expect.poll(() => focused()).toMatch(/^main /);
    expect(faults).toEqual([]);
  });

  test("J and K move on from the card that has the focus, even when one of its buttons has it", async () => {
    await open("/approvals");
    await ask("upper command", "middle command", "lower command");
    const allow = page.getByRole("article").getByRole("button", { name: "Allow", exact: true });
    await allow.nth(1).focus();
    await page.keyboard.press("j");
    expect(await focused()).toContain("lower command");
    await allow.nth(1).focus();
    await page.keyboard.press("k");
    expect(await focused()).toContain("upper command");
    for (const waiting of ["2 waiting", "1 waiting", "Nothing waits for you"]) {
      await settle();
      await page.keyboard.press("a");
      await page.getByText(waiting).waitFor();
    }
    expect(faults).toEqual([]);
  });

  test("neither a held-down key nor a key press after somebody else's decision decides on the next card", async () => {
    await open("/approvals");
    await ask("held command", "next command");
    await page.getByText("2 waiting").waitFor();
    await page.keyboard.press("j");
    await settle();
    await page.keyboard.down("a");
    await page.getByText("1 waiting").waitFor();
    await expect.poll(() => focused()).toContain("next command");
    await settle();
    for (const part of ["down", "up"] as const) await page.keyboard[part]("a");
    await ask("last command");
    await page.getByText("2 waiting").waitFor();
    expect(await focused()).toContain("next command");
    await decideElsewhere(`call-${requests - 1}`);
    await page.getByText("1 waiting").waitFor();
    await expect.poll(() => focused()).toMatch(/^main /);
    await page.keyboard.press("a");
    await page.keyboard.press("j");
    await settle();
    await page.keyboard.press("a");
    await page.getByText("Nothing waits for you").waitFor();
    expect(faults).toEqual([]);
  });

  test("after a decision that failed, somebody else's decision does not pass the focus to the next card", async () => {
    await open("/approvals", /504/);
    await ask("disputed command", "untouched command");
    await page.getByText("2 waiting").waitFor();
    const sent: string[] = [];
    await page.route("**/messages", (route) => {
      sent.push(route.request().postData() ?? "");
      const json = { status: 504, errorCode: "delivery_unknown", detail: "No acknowledgement." };
      return route.fulfill({ status: 504, contentType: "application/problem+json", json });
    });
    await page.keyboard.press("j");
    await settle();
    await page.keyboard.press("a");
    await page.getByText("It is not known whether the device received the decision.").waitFor();
    await decideElsewhere(`call-${requests - 1}`);
    await page.getByText("1 waiting").waitFor();
    await expect.poll(() => focused()).toMatch(/^main /);
    await page.keyboard.press("a");
    expect(sent).toHaveLength(1);
    await page.unroute("**/messages");
    await page.keyboard.press("j");
    await settle();
    await page.keyboard.press("a");
    await page.getByText("Nothing waits for you").waitFor();
  });

  test("the keys of a card decide nothing while its device is offline, like its buttons", async () => {
    await open("/approvals");
    await ask("stranded command");
    await page.route("**/v1/environments/approvals*", async (route) => {
      const response = await fetch(`${launched.url}/v1/environments/approvals`, { headers });
      const list = (await response.json()) as { readonly approvals: readonly object[] };
      const approvals = list.approvals.map((approval) => ({ ...approval, connectionId: null }));
      await route.fulfill({ json: { ...list, approvals } });
    });
    await page.reload();
    await page.getByText("device offline").waitFor();
    await page.keyboard.press("j");
    expect(await focused()).toContain("stranded command");
    await settle();
    await page.keyboard.press("d");
    await page.keyboard.press("a");
    expect(await page.getByLabel("Reason for the agent").count()).toBe(0);
    expect(await page.getByRole("region", { name: "Messages" }).textContent()).toBe("");
    await decideElsewhere(`call-${requests}`);
    await page.getByRole("article").waitFor({ state: "detached" });
    expect(faults).toEqual([]);
  });

  test("a double click on Allow decides on one request, although the next card moves under the pointer", async () => {
    await open("/approvals");
    await ask("clicked command", "moved command");
    await page.getByText("2 waiting").waitFor();
    await holdTime(page);
    await settle();
    const { x = 0, y = 0 } = (await allow("clicked command").boundingBox()) ?? {};
    await allow("clicked command").click({ trial: true });
    await page.mouse.click(x + 9, y + 9);
    await page.getByText("1 waiting").waitFor();
    const target = `document.elementFromPoint(${x + 9}, ${y + 9}).closest("article").textContent`;
    expect(await page.evaluate(target)).toContain("moved command");
    await page.mouse.click(x + 9, y + 9);
    await expectUndecided("moved command");
    await settle();
    await allow("moved command").click({ trial: true });
    await page.mouse.click(x + 9, y + 9);
    await page.getByText("Nothing waits for you").waitFor();
    expect(faults).toEqual([]);
  });

  test("typing after a decision by mouse decides nothing, even if the text has letters that move the focus", async () => {
    await open("/approvals");
    await ask("clicked command", "typed command");
    await page.getByText("2 waiting").waitFor();
    await holdTime(page);
    await settle(allow("clicked command"));
    await allow("clicked command").click();
    await page.getByText("1 waiting").waitFor();
    expect(await focused()).toMatch(/^main /);
    for (const key of "also ask deploy again") {
      await passTime(page, 400);
      await page.keyboard.press(key === " " ? "Space" : key);
    }
    await expectUndecided("typed command");
    expect(await focused()).toContain("typed command");
    await page.getByRole("article").getByRole("button", { name: "Deny …" }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    expect(await focused()).toMatch(/^main /);
    expect(faults).toEqual([]);
  });

  test("pressing a key twice decides on one request, although the focus moves to the next", async () => {
    await open("/approvals");
    await ask("first command", "second command");
    await page.getByText("2 waiting").waitFor();
    await holdTime(page);
    await page.keyboard.press("j");
    await page.keyboard.press("a");
    await expectUndecided("first command");
    await settle();
    await page.keyboard.press("a");
    await page.getByText("1 waiting").waitFor();
    await expect.poll(() => focused()).toContain("second command");
    for (const key of ["a", "d"]) await page.keyboard.press(key);
    await allow("second command").focus();
    await page.keyboard.press("Enter");
    await expectUndecided("second command");
    await settle();
    await page.keyboard.press("Enter");
    await page.getByText("Nothing waits for you").waitFor();
    expect(faults).toEqual([]);
  });

  test("a button that assistive technology clicks as soon as it has the focus works if its card has not moved", async () => {
    await open("/approvals");
    await ask("spoken command");
    await settle();
    await page.evaluate(`for (const act of ["focus", "click"]) document.querySelector(".primary")[act]()`);
    await page.getByText("Nothing waits for you").waitFor();
    expect(faults).toEqual([]);
  });

  test("a request that is made again under the same id gets a new card, without focus or open dialogs", async () => {
    await open("/approvals");
    await ask("harmless command");
    await page.keyboard.press("j");
    expect(await focused()).toContain("harmless command");
    await settle();
    await page.keyboard.press("d");
    await page.getByLabel("Reason for the agent").waitFor();
    await page.keyboard.press("Escape");
    await holdTime(page);
    emit(device, { type: "update_device_status", device_status: { pending_control_requests: [] } });
    send({ command: "harmful command" }, false);
    await page.getByRole("article").filter({ hasText: "harmful command" }).waitFor();
    expect(await focused()).toMatch(/^main /);
    await page.keyboard.press("j");
    await page.keyboard.press("a");
    await allow("harmful command").dispatchEvent("click", { detail: 1 });
    await expectUndecided("harmful command");
    expect(faults).toEqual([]);
  });

  test("a card with a truncated input says so above it, and cannot be allowed with a single press", async () => {
    await open("/approvals");
    await ask("short command");
    send({ command: `long command ${"x ".repeat(20_000)}` });
    const card = page.getByRole("article").filter({ hasText: "long command" });
    await card.waitFor();
    const notice = "The input is longer than shown. The device runs all of it.";
    expect((await card.textContent())?.indexOf(notice)).toBeLessThan((await card.textContent())?.indexOf("long") ?? 0);
    expect(await page.getByText(notice).count()).toBe(1);
    await holdTime(page);
    for (const key of ["j", "j"]) await page.keyboard.press(key);
    const allowLong = card.getByRole("button", { name: "Allow …" });
    await settle(allowLong);
    expect(await focused()).toContain("long command");
    await page.keyboard.press("a");
    await expectUndecided("long command");
    await allowLong.click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(notice).waitFor();
    for (const name of ["Allow", "Cancel"]) await dialog.getByRole("button", { name }).click();
    await expectUndecided("long command");
    await settle(allowLong);
    await allowLong.click();
    await dialog.waitFor();
    await settle();
    await dialog.getByRole("button", { name: "Allow" }).click();
    await page.getByText("1 waiting").waitFor();
    expect(await focused()).toMatch(/^main /);
    await settle(allow("short command"));
    await allow("short command").click();
    await page.getByText("Nothing waits for you").waitFor();
    expect(faults).toEqual([]);
  });

  test("an input that is too long to be shown is not mistaken for a missing input", async () => {
    await open("/approvals");
    send({ command: "x".repeat(1_200_000) });
    const card = page.getByRole("article");
    await card.getByText("The input is longer than shown. The device runs all of it.").waitFor();
    await card.getByText("The input is too long to be shown.").waitFor();
    expect(await card.getByText("The tool has no input.").count()).toBe(0);
    expect(faults).toEqual([]);
  });

  test("the spaces and line breaks of paths and of other short texts are visible", async () => {
    await open("/approvals");
    send({ file_path: `/srv/a${" ".repeat(3)}b\n/c`, short: "one  two" });
    await page.getByText("one  two").waitFor();
    const shown = await page.locator(".path, .member code").allInnerTexts();
    expect(shown).toEqual(["/srv/a   b\\n/c", "one  two"]);
    expect(faults).toEqual([]);
  });

  test("the end of a command is not moved out of view by empty lines or spaces", async () => {
    await open("/approvals");
    send({ command: `git status${"\n".repeat(60)}first${" ".repeat(2_000)}end of it` });
    await page.getByLabel("Command").getByText("… 59 empty lines …").waitFor();
    const isSeen = `(() => {
      const box = document.querySelector(".command");
      const range = document.createRange();
      range.setStart(box.firstElementChild.lastChild, "first".length + 2_000);
      range.setEndAfter(box.firstElementChild.lastChild);
      const [text, frame] = [range.getBoundingClientRect(), box.getBoundingClientRect()];
      return text.width > 0 && text.right <= frame.right && text.bottom <= frame.bottom;
    })()`;
    expect(await page.evaluate(isSeen)).toBe(true);
    expect(faults).toEqual([]);
  });

  test.each(["/approvals", "/device/desk"])(
    "a box with hidden lines shows the total, and fades out until the last line is visible (%s)",
    async (view) => {
      await open(view);
      const lines = Array.from({ length: 80 }, (_, index) => `line ${index}`).join("\n");
      send({ command: lines, old_string: "", new_string: lines, text: lines });
      for (const label of ["Command", "Changes", "text"]) {
        const box = page.getByLabel(label, { exact: true });
        await box.and(page.locator(".more")).waitFor();
        await box.hover();
        await page.mouse.wheel(0, 5_000);
        await box.and(page.locator("pre:not(.more)")).waitFor();
      }
      expect(await page.getByText(/^80 lines: scroll to read all of them.$/).count()).toBe(3);
      expect(faults).toEqual([]);
    },
  );
});
