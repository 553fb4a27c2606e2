/** The lists in Chromium: unknown data, sort order, and state that survives navigation. */
import type { Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import type { ScriptedDevice } from "@letta-environments/testkit";
import { inChromium, launchForTests, signInOperator } from "./support/console-tests.ts";
import { emit } from "./support/emit.ts";
import { holdTime, openPage, passTime } from "./support/gateway.ts";

const list = "**/v1/environments/approvals*";

inChromium(() => {
  const launched = launchForTests();
  const operator = signInOperator(launched, 15_000);
  let device: ScriptedDevice;
  let page: Page;
  let faults: readonly string[];
  let headers: Readonly<Record<string, string>>;

  beforeAll(async () => {
    headers = await launched.headersOf("list", "read", "approve", "admin");
    device = await launched.connect("desk");
    await launched.connect("attic");
    ask("make");
    report({ current_working_directory: "/srv/a\u202e b", git_context: { branch: "main" } });
  });

  async function open(...view: Parameters<typeof operator.open>): Promise<void> {
    ({ page, faults } = await operator.open(...view));
  }

  function ask(command: string): void {
    const request = {
      ...{ subtype: "can_use_tool", tool_name: "Bash", input: { command }, tool_call_id: command },
      permission_suggestions: [{ id: "s-1", text: "Run every command without asking" }],
    };
    emit(device, { type: "control_request", request_id: `perm-${command}`, request });
  }

  function report(status: Readonly<Record<string, unknown>>): void {
    const common = { is_online: true, is_processing: true, current_permission_mode: "standard" };
    emit(device, {
      type: "update_device_status",
      device_status: { ...common, letta_code_version: "1.0.0", ...status },
    });
  }

  const loading = () => page.getByRole("main").getByRole("status");

  test("requests that have not loaded, or cannot load, are not shown as an empty list, and are loaded again", async () => {
    let respond: (() => void) | undefined;
    await open("/approvals", /403/, (opened) =>
      opened.route(list, async (route) => {
        await new Promise<void>((resolve) => (respond = resolve));
        const type = "urn:letta-environments:problem:device_not_allowed";
        const json = { type, title: "Refused", status: 403, errorCode: "device_not_allowed", detail: "Not now." };
        await route.fulfill({ status: 403, contentType: "application/problem+json", json });
      }),
    );
    await expect.poll(() => loading().textContent()).toBe("Loading …");
    expect(await page.getByText("Nothing waits").count()).toBe(0);
    await expect.poll(() => respond).toBeDefined();
    respond?.();
    await page.getByText("The requests could not be read: Not now.").waitFor();
    expect(await page.getByText("Nothing waits").count()).toBe(0);
  });

  test("without the scope approve, the page gives the reason instead of an empty list", async () => {
    const other = await launched.browser.newContext();
    ({ page } = await openPage(other, launched.url));
    await page.goto(await launched.gateway.link("--scope", "list", "--scope", "read"));
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    await page.evaluate(`location.hash = "/approvals"`);
    await page.getByText("This key does not decide").waitFor();
    expect(await page.getByText("Nothing waits").count()).toBe(0);
    expect(await page.getByLabel("Sound").count()).toBe(0);
    await other.close();
  });

  test("requests of devices that are offline come last and are not counted, so that the first card can be decided", async () => {
    await open("/approvals", undefined, (opened) =>
      opened.route(list, async (route) => {
        const response = await fetch(`${launched.url}/v1/environments/approvals`, { headers });
        const read = (await response.json()) as { readonly approvals: readonly object[] };
        const gone = read.approvals.map((each) => ({ ...each, id: "gone", connectionId: null }));
        await route.fulfill({ json: { ...read, approvals: [...gone, ...read.approvals] } });
      }),
    );
    await page.getByText("1 waiting").waitFor();
    await page.getByText("On devices that are offline: 1").waitFor();
    expect(await page.getByRole("article").first().getByText("device offline").count()).toBe(0);
    expect(await page.getByRole("article").last().getByText("device offline").count()).toBe(1);
    await expect.poll(() => page.title()).toMatch(/^\(1\) /);
    expect(faults).toEqual([]);
  });

  test("a card shows the device's working directory as reported, with invisible characters written out", async () => {
    await open("/approvals");
    const card = page.getByRole("article");
    await card.getByText("The device reports:").waitFor();
    expect(await card.locator(".hint code").allTextContents()).toEqual([String.raw`/srv/a\u202e b`, "⎇\u00a0main"]);
    await card.getByText("standard", { exact: true }).waitFor();
    expect(faults).toEqual([]);
  });

  test("a device report does not move the buttons of its card, and a press right after the buttons have moved decides nothing", async () => {
    const directory = (path: string): void => report({ current_working_directory: path });
    const rename = (displayName: string | null): Promise<Response> =>
      fetch(`${launched.url}/v1/environments/desk`, {
        ...{ method: "PATCH", headers, body: JSON.stringify({ displayName }) },
      });
    await open("/approvals");
    await page.setViewportSize({ width: 390, height: 844 });
    const card = page.getByRole("article");
    const allow = card.getByRole("button", { name: "Allow", exact: true });
    const top = async (): Promise<number> => (await allow.boundingBox())?.y ?? 0;
    directory(`/srv/${"deep/".repeat(100)}`);
    await card.getByText("deep/deep").waitFor();
    await holdTime(page);
    await passTime(page, 600);
    const { x = 0, y = 0 } = (await card.getByRole("button", { name: "Deny …" }).boundingBox()) ?? {};
    directory("/srv");
    await card.getByText("/srv", { exact: true }).waitFor();
    await page.mouse.click(x + 9, y + 9);
    // Neither the command nor a button has taken its place.
    await card.getByLabel("Reason for the agent").waitFor();
    await page.keyboard.press("Escape");
    await rename("a name of several lines ".repeat(5).trim());
    await card.getByText("a name of several lines").waitFor();
    await passTime(page, 600);
    await allow.and(page.locator("[aria-disabled=false]")).waitFor();
    const before = await top();
    await rename("desk");
    await card.getByText("desk", { exact: true }).waitFor();
    expect(before - (await top())).toBeGreaterThan(10);
    await allow.dispatchEvent("click", { detail: 1 });
    expect(await allow.getAttribute("disabled")).toBe(null);
    await allow.and(page.locator("[aria-disabled=true]")).waitFor();
    expect(faults).toEqual([]);
  });

  test("J moves the focus to a card only from the content, and other views announce requests", async () => {
    await open("/approvals");
    await page.getByRole("article").waitFor();
    const onCard = "document.activeElement.classList.contains('approval')";
    await page.locator("summary").focus();
    await page.keyboard.press("j");
    expect(await page.evaluate(onCard)).toBe(false);
    await page.locator("main").focus();
    await page.keyboard.press("j");
    expect(await page.evaluate(onCard)).toBe(true);
    await page.getByRole("link", { name: "Keys" }).click();
    await page.getByRole("status").getByText("1 waiting for a decision").waitFor();
    expect(faults).toEqual([]);
  });

  test("the sort indicator of a column matches the order of the rows", async () => {
    await open("/devices");
    for (const [name, first] of [
      ["Waiting", "descending"],
      ["Last seen", "descending"],
      ["Mode", "ascending"],
    ] as const)
      for (const direction of [first, first === "ascending" ? "descending" : "ascending"]) {
        await page.getByRole("columnheader", { name }).getByRole("button").click();
        await page.locator(`[aria-sort="${direction}"]`, { hasText: name }).waitFor();
        if (name !== "Waiting") continue;
        const names = page.getByRole("cell").locator("a[href*='/device/']");
        const expected = direction === "descending" ? ["desk", "attic"] : ["attic", "desk"];
        await expect.poll(() => names.allTextContents()).toEqual(expected);
      }
    expect(faults).toEqual([]);
  });

  test("going back from a device to the list keeps the filters", async () => {
    await open("/devices?status=waiting");
    for (const name of ["‹ Devices", "Devices"]) {
      await page.getByRole("link", { name: "desk" }).click();
      await page.getByRole("link", { name, exact: true }).click();
      await page.getByText("1 shown").waitFor();
      expect(page.url()).toContain("status=waiting");
    }
    expect(faults).toEqual([]);
  });

  test("an offline device shows what to do, and links administrators to its audit records", async () => {
    await (await launched.connect("lost")).close();
    await open("/device/lost");
    await page.getByText("Start Letta Code there again").waitFor();
    await page.getByRole("log").getByText("Nothing was said in this conversation yet.").waitFor();
    expect(await page.getByText("Send a message to begin").count()).toBe(0);
    await page.getByRole("link", { name: "Its records in the audit log" }).click();
    await page.getByRole("heading", { name: "Audit log" }).waitFor();
    expect(await page.getByLabel("Device id").inputValue()).toBe("lost");
    expect(faults).toEqual([]);
  });

  test("an audit log record shows seconds, and its exact time", async () => {
    await open("/audit");
    const time = page.getByRole("cell").locator("time").first();
    expect(await time.textContent()).toMatch(/:\d\d:\d\d/);
    expect(await time.getAttribute("title")).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(faults).toEqual([]);
  });

  test("a key that was just created comes first, and its secret is ready for a person, and not lost by Escape", async () => {
    await open("/keys");
    await page.getByRole("button", { name: "Create a key" }).click();
    await page.getByLabel("Name", { exact: true }).fill("colleague");
    await page.getByRole("button", { name: "Create", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "The key of colleague, shown once" });
    const key = (await dialog.getByRole("textbox", { name: "Gateway key" }).textContent()) ?? "";
    const text = `Open ${launched.url}/console/ and sign in with this key: ${key}`;
    expect(await dialog.getByRole("textbox", { name: "Text for a person" }).textContent()).toBe(text);
    for (let press = 0; press < 3; press += 1) await page.keyboard.press("Escape");
    await dialog.getByRole("button", { name: "I have copied it" }).click();
    await page.getByRole("article").first().getByRole("heading", { name: "colleague" }).waitFor();
    const first = page.getByRole("article").first();
    await first.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("button", { name: "Cancel" }).and(page.locator(":focus")).waitFor();
    expect(faults).toEqual([]);
  });

  test("a secret that is shown once stays open when the user goes back, and its button then navigates there", async () => {
    await open("/devices");
    await page.getByRole("link", { name: "Keys" }).click();
    await page.getByRole("button", { name: "Create a key" }).click();
    await page.getByLabel("Name", { exact: true }).fill("bob\u202egnp");
    await page.getByRole("button", { name: "Create", exact: true }).click();
    // The name does not change the direction of what follows it.
    const dialog = page.getByRole("dialog", { name: String.raw`The key of bob\u202egnp, shown once`, exact: true });
    await dialog.waitFor();
    await page.goBack();
    await expect.poll(() => page.url()).toMatch(/#\/devices$/);
    expect(await dialog.getByRole("textbox", { name: "Gateway key" }).textContent()).not.toBe("");
    // Neither does it go without a question.
    const isKept = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))";
    expect(await page.evaluate(isKept)).toBe(true);
    await page
      .getByRole("article")
      .first()
      .getByText(String.raw`bob\u202egnp`)
      .waitFor();
    await dialog.getByRole("button", { name: "I have copied it" }).click();
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    expect(await page.evaluate(isKept)).toBe(false);
    expect(faults).toEqual([]);
  });

  test("a secret that is being created is shown whatever the user does in the meantime, and Back still goes to the previous page", async () => {
    await open("/overview");
    let respond: (() => void) | null = null;
    await page.route("**/admin/v1/keys**", async (route) => {
      if (route.request().method() === "POST") await new Promise<void>((resolve) => (respond = resolve));
      await route.continue();
    });
    const go = (name: string): Promise<void> => page.getByRole("link", { name, exact: true }).click();
    const dialog = page.getByRole("dialog");
    const press = (name: string): Promise<void> => dialog.getByRole("button", { name, exact: true }).click();
    /** Goes back, and presses Escape, before the response arrives. */
    const leave = async (): Promise<void> => {
      await expect.poll(() => respond).not.toBe(null);
      await page.goBack();
      await page.keyboard.press("Escape");
      respond?.();
      respond = null;
    };
    await go("Devices");
    await go("Keys");
    await page.getByRole("button", { name: "Create a key" }).click();
    await page.getByLabel("Name", { exact: true }).fill("slow");
    await press("Create");
    await leave();
    await press("I have copied it");
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    await go("Keys");
    await page.getByRole("article").filter({ hasText: "slow" }).getByRole("button", { name: "Rotate" }).click();
    await press("Rotate");
    await leave();
    await press("I have copied it");
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    await page.getByRole("button", { name: "Invite a device" }).click();
    await press("Create the command");
    await leave();
    await dialog.getByText("It works for one device, and is shown once.").waitFor();
    await page.goBack();
    await expect.poll(() => page.url()).toMatch(/overview$/);
    await press("Done");
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    expect(page.url()).toMatch(/overview$/);
    expect(faults).toEqual([]);
  });

  test("two secrets that arrive together are shown one after the other", async () => {
    for (const scope of ["list", "read"] as const) await launched.gateway.proxy.createKey({ scopes: [scope] });
    await open("/keys");
    const responses: (() => void)[] = [];
    await page.route("**/rotate", (route) => void responses.push(() => void route.continue()));
    for (const position of [0, 1]) {
      await page.getByRole("button", { name: "Rotate" }).nth(position).click();
      await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
    }
    await expect.poll(() => responses.length).toBe(2);
    for (const respond of responses) respond();
    for (const _ of responses) await page.getByRole("button", { name: "I have copied it" }).click();
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
  });

  test("a sign-in link pasted while a secret is shown is removed from the address bar at once, and used afterwards", async () => {
    await open("/devices?invite=yes");
    await page.getByRole("button", { name: "Create the command" }).click();
    await page.getByRole("button", { name: "Done" }).waitFor();
    await page.evaluate("location.hash = 'link=secret'");
    await expect.poll(() => page.url()).not.toContain("secret");
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "Stay signed in" }).click();
    await page.getByText("The link was not used and still works").waitFor();
    expect(faults).toEqual([]);
  });

  test("a search does not carry over to the session of another key", async () => {
    const other = await launched.browser.newContext();
    ({ page, faults } = await openPage(other, launched.url));
    const signIn = async (): Promise<void> => {
      await page.getByLabel("Gateway key").fill(await launched.gateway.proxy.createKey({ scopes: ["list"] }));
      await page.keyboard.press("Enter");
    };
    const search = page.getByRole("searchbox");
    await page.goto(`${launched.url}/console/#/devices?q=secret`);
    await signIn();
    await expect.poll(() => search.inputValue()).toBe("secret");
    await page.locator("summary").click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    await expect.poll(() => page.url()).not.toContain("secret");
    await signIn();
    await expect.poll(() => search.inputValue()).toBe("");
    expect(faults).toEqual([]);
    await other.close();
  });

  test("a reply that is too long to be rendered as Markdown is shown in full", async () => {
    await open("/device/desk");
    const lines = Array.from({ length: 9_000 }, (_, index) => `line number ${index}`);
    const content = lines.join("\n");
    emit(device, { type: "stream_delta", delta: { message_type: "assistant_message", id: "long", content } });
    const box = page.locator("pre.plain");
    await box.getByText("line number 8999").waitFor();
    expect(await box.evaluate((element) => element.scrollHeight - element.clientHeight)).toBe(0);
    expect(faults).toEqual([]);
  });

  test("the confirmation of a decision names the device", async () => {
    await open("/approvals");
    await page.getByRole("article").waitFor();
    await passTime(page, 600);
    await page.getByRole("button", { name: "Allow", exact: true }).click();
    await page.getByRole("region", { name: "Messages" }).getByText("Allowed Bash on desk").waitFor();
    expect(faults).toEqual([]);
  });
});
