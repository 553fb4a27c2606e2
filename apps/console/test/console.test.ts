/** The console in Chromium, against a running gateway with real devices. */
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { inChromium, launchForTests, signInOperator } from "./support/console-tests.ts";
import { passTime, say } from "./support/gateway.ts";

inChromium(() => {
  const launched = launchForTests();
  const { open } = signInOperator(launched, 20_000);

  async function show(page: Page, view: string, heading: string): Promise<void> {
    await page.evaluate(`location.hash = ${JSON.stringify(view)}`);
    await page.getByRole("heading", { name: heading, exact: true }).waitFor();
  }

  test("a device appears when it connects, and its state follows", async () => {
    const { page, faults } = await open("/devices");
    await page.getByText("letta-proxy devices invite").waitFor();
    const device = await launched.gateway.connectDevice("appears");
    // The device is connected when its own program says so; the page may know it before.
    await device.process.waitForOutput(/Connected\. Awaiting instructions/);
    await page.getByRole("row", { name: "appears online" }).waitFor();
    await device.stop();
    await page.getByRole("row", { name: "appears offline" }).waitFor();
    // By events: a page that asks again and again says so.
    await page.getByText("Live", { exact: true }).waitFor();
    expect(faults).toEqual([]);
  });

  test("an invitation is created and shown once, and the displayed command uses it", async () => {
    const { page, faults } = await open("/devices");
    await page.getByRole("button", { name: "Invite a device" }).click();
    await page.getByLabel("Name").fill("invited");
    await page.getByLabel("Tags").fill("ci, gpu");
    await page.getByRole("button", { name: "Create the command" }).click();
    const command = await page.getByRole("textbox", { name: "Command for the device" }).textContent();
    expect(command).toMatch(
      /^LETTA_BASE_URL=http:\/\/127\.0\.0\.1:\d+ LETTA_API_KEY=lek_\w+ .* --computer-name invited$/,
    );
    await launched.gateway.connectInvited(command ?? "", "invited-id");
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("link", { name: "invited" }).waitFor();
    await page.getByRole("button", { name: "gpu" }).click();
    expect(page.url()).toContain("tag=gpu");
    expect(faults).toEqual([]);
  });

  test("a message is sent, and its reply and its outcome are shown, even after a reload", async () => {
    await launched.gateway.connectDevice("speaks");
    const { page, faults } = await open("/device/speaks");
    await say(page, "Hello");
    const log = page.getByRole("log");
    await log.getByText("pong").waitFor();
    await log.getByText(/finished in/).waitFor();
    await page.getByRole("complementary").getByText("Hello").waitFor();
    await page.reload();
    await log.getByText("Hello").waitFor();
    await log.getByText("pong").waitFor();
    await log.getByText(/finished in/).waitFor();
    expect(faults).toEqual([]);
  });

  test("a request for permission is allowed in two clicks, and the title counts it", async () => {
    await launched.gateway.connectDevice("asks", true);
    const { page, faults } = await open("/device/asks");
    await ask(page);
    await page.getByRole("article").getByText("Bash").waitFor();
    await expect.poll(() => page.title()).toMatch(/^\(1\) /);
    await page.getByRole("link", { name: /^Approvals/ }).click();
    await page.getByRole("button", { name: "Allow", exact: true }).click();
    await page.getByText("Nothing waits for you").waitFor();
    await expect.poll(() => page.title()).toMatch(/^Approvals/);
    await show(page, "/device/asks", "asks");
    await page
      .getByRole("log")
      .getByText(/finished in/)
      .waitFor();
    expect(faults).toEqual([]);
  });

  test("a request is denied by keyboard with a reason, which the device receives", async () => {
    await launched.gateway.connectDevice("denied", true);
    const { page, faults } = await open("/device/denied");
    await ask(page);
    await page.getByRole("article").waitFor();
    await show(page, "/approvals", "Approvals");
    await page.getByRole("article").waitFor();
    await page.keyboard.press("j");
    await passTime(page, 600);
    await page.keyboard.press("d");
    await page.keyboard.type("not on this machine");
    await page.keyboard.press("Enter");
    await page.getByText("Nothing waits for you").waitFor();
    await show(page, "/device/denied", "denied");
    await page
      .getByRole("log")
      .getByText(/finished in/)
      .waitFor();
    expect(faults).toEqual([]);
  });

  test("a turn is stopped, and the mode of a conversation is changed", async () => {
    await launched.gateway.connectDevice("stops", true);
    const { page, faults } = await open("/device/stops");
    await ask(page);
    await page.getByRole("article").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page
      .getByRole("log")
      .getByText(/^stopped in/)
      .waitFor();
    await page.getByLabel("Mode").selectOption("acceptEdits");
    await page.getByRole("button", { name: "Change", exact: true }).click();
    await page.getByText("The mode is now acceptEdits").waitFor();
    await page.getByText("accept edits", { exact: true }).first().waitFor();
    expect(faults).toEqual([]);
  });

  test("revoking a key disconnects its device", async () => {
    const device = await launched.gateway.connectDevice("leaves");
    const { page, faults } = await open("/devices");
    await page.getByRole("row", { name: /leaves.*online/ }).waitFor();
    await show(page, "/keys", "Keys");
    const id = device.key.split("_")[1] ?? "";
    await page.getByRole("article").filter({ hasText: id }).getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByText("Revoked", { exact: true }).waitFor();
    await show(page, "/devices", "Devices");
    await page.getByRole("row", { name: /leaves offline/ }).waitFor();
    expect(faults).toEqual([]);
  });

  test("disabling a key asks for confirmation, and the key can be enabled again", async () => {
    await launched.gateway.proxy.createKey({ scopes: ["list"], more: ["--description", "paused"] });
    const { page, faults } = await open("/keys");
    const card = page.getByRole("article").filter({ hasText: "paused" });
    await card.getByRole("button", { name: "Disable" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("The key is refused until it is enabled again.").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await card.getByText("active", { exact: true }).waitFor();
    await card.getByRole("button", { name: "Disable" }).click();
    await dialog.getByRole("button", { name: "Disable" }).click();
    await card.getByText("disabled", { exact: true }).waitFor();
    await card.getByRole("button", { name: "Enable" }).click();
    await card.getByText("active", { exact: true }).waitFor();
    expect(faults).toEqual([]);
  });

  test("a key is created, shown once, and described in words", async () => {
    const { page, faults } = await open("/keys");
    await page.getByRole("button", { name: "Create a key" }).click();
    await page.getByLabel("Name", { exact: true }).fill("reader of the test");
    await page.getByRole("button", { name: "Create", exact: true }).click();
    const key = await page.getByRole("textbox", { name: "Gateway key" }).textContent();
    expect(key).toMatch(/^lek_\w{62}$/);
    await page.getByRole("button", { name: "I have copied it" }).click();
    const card = page.getByRole("article").filter({ hasText: "reader of the test" });
    await card.getByText("May list devices and read devices and messages.").waitFor();
    expect(await page.content()).not.toContain(key);
    await show(page, "/audit", "Audit log");
    await page
      .getByRole("row", { name: /Key created \(by key/ })
      .first()
      .waitFor();
    await page
      .getByRole("row", { name: /Signed in to the console/ })
      .first()
      .waitFor();
    expect(faults).toEqual([]);
  });

  test.each([
    ["key", "/keys", "Create a key", "Create", "I have copied it"],
    ["invitation", "/devices", "Invite a device", "Create the command", "Done"],
  ])("a double click creates one %s, whose secret is shown", async (_what, view, begin, create, end) => {
    const { page, faults } = await open(view);
    let creations = 0;
    let respond: (() => void) | undefined;
    const isLater = new Promise<void>((resolve) => (respond = resolve));
    await page.route("**/admin/v1/keys", async (route) => {
      if (route.request().method() !== "POST") return route.continue();
      creations += 1;
      await isLater;
      return route.continue();
    });
    await page.getByRole("button", { name: begin }).click();
    await page.getByLabel("Name", { exact: true }).fill("twice");
    await page.getByRole("button", { name: create, exact: true }).dblclick();
    await page.getByLabel("Name", { exact: true }).press("Enter");
    respond?.();
    await page.getByRole("button", { name: end }).click();
    expect(creations).toBe(1);
    expect(faults).toEqual([]);
  });

  test.each([
    ["saves the labels of a device", "/device/labelled", "Change name and tags", "Save"],
    ["explains a request", "/keys", "Explain", "Explain"],
  ])("a double click %s once", async (_what, view, begin, submit) => {
    await launched.connect("labelled");
    const { page, faults } = await open(view);
    let requests = 0;
    let respond: (() => void) | undefined;
    const isLater = new Promise<void>((resolve) => (respond = resolve));
    await page.route(/labelled$|explain$/, async (route) => {
      requests += 1;
      await isLater;
      return route.continue();
    });
    await page.getByRole("button", { name: begin }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: submit }).dblclick();
    respond?.();
    await page
      .getByText(/^Saved|^It (passes|is refused)/)
      .first()
      .waitFor();
    expect(requests).toBe(1);
    expect(faults).toEqual([]);
  });

  test("a late response to an audit log search does not replace the results of a later search", async () => {
    const { page, faults } = await open("/audit");
    const row = page.getByRole("row", { name: /Signed in to the console/ }).first();
    await row.waitFor();
    let respond: (() => void) | undefined;
    await page.route("**/admin/v1/audit?*event=device*", async (route) => {
      await new Promise<void>((resolve) => (respond = resolve));
      await route.fulfill({ json: { records: [], cursor: null } });
    });
    const late = page.waitForResponse(/event=device/);
    await page.getByLabel("Event").selectOption("device");
    await expect.poll(() => respond).toBeDefined();
    const latest = page.waitForResponse(/event=key/);
    await page.getByLabel("Event").selectOption("key");
    await latest;
    respond?.();
    await (await late).finished();
    // The page has drawn what it does with the response.
    await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
    expect(await row.isVisible()).toBe(true);
    expect(await page.getByText("No record matches the search.").count()).toBe(0);
    expect(faults).toEqual([]);
  });

  test("a request with a key is explained rule by rule", async () => {
    await launched.gateway.proxy.createKey({ scopes: ["list"], more: ["--description", "explained"] });
    const { page, faults } = await open("/keys");
    const card = page.getByRole("article").filter({ hasText: "explained" });
    await card.getByRole("button", { name: "Explain" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Explain" }).click();
    await dialog.getByText("It passes every rule that can be decided now.").waitFor();
    await dialog.getByLabel("Path").fill("/v1/environments/laptop");
    await dialog.getByRole("button", { name: "Explain" }).click();
    await dialog.getByText("It is refused with 403 insufficient_scope.").waitFor();
    expect(faults).toEqual([]);
  });

  test("the overview shows figures, and charts with the values under the pointer", async () => {
    const { page, faults } = await open("/overview");
    await page.getByText("Hit rate", { exact: true }).waitFor();
    const charts = page.locator("section.chart");
    await expect.poll(() => charts.locator("svg").count()).toBe(5);
    const legend = charts.first().locator(".legend");
    await charts.first().locator("svg").hover();
    await expect.poll(() => legend.textContent()).toMatch(/^requests \S+at \d/);
    await page.getByRole("heading", { name: "Overview" }).hover();
    await expect.poll(() => legend.textContent()).toMatch(/^requests [\d.,]+$/);
    expect(faults).toEqual([]);
  });

  async function ask(page: Page): Promise<void> {
    await say(page, "Read $TRANSCRIPT_PATH");
  }
});
