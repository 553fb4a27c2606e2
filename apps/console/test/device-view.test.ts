/** The view of a device in Chromium: what stays visible and reachable, and what a single click does not do. */
import { beforeAll, expect, test, vi } from "vitest";
import type { ScriptedDevice } from "@letta-environments/testkit";
import { inChromium, launchForTests, signInOperator } from "./support/console-tests.ts";
import { emit } from "./support/emit.ts";
import { nameAgent, openPage, settleCards, type WatchedPage } from "./support/gateway.ts";

const phone = { width: 390, height: 844 };

inChromium(() => {
  const launched = launchForTests();
  const operator = signInOperator(launched, 20_000);
  let device: ScriptedDevice;
  let modes: ScriptedDevice;

  beforeAll(async () => {
    device = await launched.connect("desk", "a-name-without-a-space-".repeat(5));
    modes = await launched.connect("modes");
    await launched.connect("idle");
    await launched.connect("fresh");
  });

  /** Opens a view on a page of a size. */
  function open(view: string, size: { readonly width: number; readonly height: number }): Promise<WatchedPage> {
    return operator.open(view, undefined, (page) => page.setViewportSize(size));
  }

  function say(delta: Readonly<Record<string, unknown>>): void {
    emit(device, { type: "stream_delta", delta });
  }

  test("long words, names and edits do not make the log, the list or the page wider or longer", async () => {
    const { page, faults } = await open("/device/desk", phone);
    const lines = Array.from({ length: 60 }, (_, index) => `line ${index}`);
    const edit = { file_path: "a.ts", old_string: lines.join("\n"), new_string: lines.toReversed().join("\n") };
    say({ message_type: "client_tool_start", tool_call_id: "t-1", tool_name: "Edit", tool_args: JSON.stringify(edit) });
    say({ message_type: "assistant_message", id: "a-1", content: `# ${"word".repeat(50)}\n\n${"word".repeat(50)}` });
    const log = page.getByRole("log");
    await log.getByText("word").first().waitFor();
    await log.locator("summary").click();
    await log.getByLabel("Changes").waitFor();
    const overflow = await page.evaluate<object>(`(() => {
      const [log, page, last] = [document.querySelector(".log"), document.documentElement, document.querySelector("main")];
      return { wider: log.scrollWidth - log.clientWidth, pageWider: page.scrollWidth - innerWidth,
        longer: Math.abs(Math.round(page.scrollHeight - last.getBoundingClientRect().bottom - scrollY)) };
    })()`);
    expect(overflow).toEqual({ wider: 0, pageWider: 0, longer: 0 });
    await page.evaluate(`location.hash = "/devices"`);
    await page.getByRole("link", { name: /a-name/ }).waitFor();
    const name = "[...document.querySelectorAll('.name > *')].at(-1).getBoundingClientRect()";
    const cell = "document.querySelector('.name').getBoundingClientRect()";
    expect(await page.evaluate<number>(`Math.max(0, Math.round(${name}.right - ${cell}.right))`)).toBe(0);
    expect(faults).toEqual([]);
  });

  test.each([phone, { width: 1024, height: 640 }])(
    "the message box stays visible when a request arrives while the user types, and when it is decided ($width px)",
    async (size) => {
      const { page, faults } = await open("/device/desk", size);
      // Nothing covers the middle of what a finger needs.
      const isReachable = (selector: string): Promise<boolean> =>
        page.evaluate<boolean>(`(() => {
          const target = document.querySelector(${JSON.stringify(selector)});
          const { left, top, width, height } = target.getBoundingClientRect();
          return target.contains(document.elementFromPoint(left + width / 2, top + height / 2));
        })()`);
      for (let index = 0; index < 30; index += 1)
        say({
          message_type: "assistant_message",
          id: `long-${size.width}-${index}`,
          content: `paragraph ${index} of ${size.width}`,
        });
      await page.getByRole("log").getByText(`paragraph 29 of ${size.width}`).waitFor();
      await page.getByLabel("Message", { exact: true }).pressSequentially("I am typ");
      const lines = Array.from({ length: 60 }, (_, index) => `line ${index}`).join("\n");
      const input = { file_path: "a.ts", old_string: lines, new_string: lines.replaceAll("line", "text") };
      const id = `edit-${size.width}`;
      const asked = { subtype: "can_use_tool", tool_name: "Edit", input, tool_call_id: id };
      emit(device, { type: "control_request", request_id: `perm-${id}`, request: asked });
      const allow = page.getByRole("button", { name: "Allow", exact: true });
      await allow.waitFor();
      await page.keyboard.type("ing");
      expect(await isReachable("#message")).toBe(true);
      expect(await isReachable(".log > :last-child")).toBe(true);
      await allow.scrollIntoViewIfNeeded();
      expect(await isReachable(".approval .primary")).toBe(true);
      expect(await isReachable("#message")).toBe(true);
      // The page was scrolled just now, and a press counts after that.
      const press = async (): Promise<void> => {
        await settleCards(page);
        await allow.click();
        await allow.waitFor({ state: "detached", timeout: 2_000 });
      };
      await vi.waitFor(press, { timeout: 15_000 });
      expect(await page.getByLabel("Message", { exact: true }).inputValue()).toBe("I am typing");
      await page.getByLabel("Message", { exact: true }).fill("");
      expect(faults).toEqual([]);
    },
  );

  test("choosing a mode does not apply it until a button is pressed, and a mode without permission requests needs a confirmation", async () => {
    const { page, faults } = await open("/device/desk", phone);
    say({ message_type: "status", message: "the agent is known" });
    await page.getByRole("log").getByText("the agent is known").waitFor();
    const changes: unknown[] = [];
    await page.route("**/mode", (route) => {
      changes.push(route.request().postDataJSON());
      return route.fulfill({ json: { success: true, mode: "unrestricted" } });
    });
    const mode = page.getByLabel("Mode");
    await mode.focus();
    for (let press = 0; press < 3; press += 1) await page.keyboard.press("ArrowDown");
    expect(await mode.inputValue()).toBe("unrestricted");
    await page.getByRole("button", { name: "Change", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("agent-1 · default: from then on the device runs every tool without asking.").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    expect(changes).toEqual([]);
    await page.getByRole("button", { name: "Change", exact: true }).click();
    await dialog.getByRole("button", { name: "Change" }).click();
    await page.getByText("The mode is now unrestricted").waitFor();
    expect(changes).toMatchObject([{ mode: "unrestricted" }]);
    expect(faults).toEqual([]);
  });

  test("a mode applies to the conversation in which it was chosen, even while history loads, and is not carried to another one", async () => {
    const { page, faults } = await open("/device/modes", phone);
    // The past does not end.
    await page.clock.setFixedTime(0);
    const speak = (agentId: string): void => {
      const delta = { message_type: "status", message: `${agentId} speaks` };
      emit(modes, { type: "stream_delta", delta }, agentId);
    };
    speak("agent-1");
    await page.getByText("agent-1 · default").waitFor();
    const mode = page.getByLabel("Mode");
    await mode.selectOption("unrestricted");
    speak("agent-2");
    await page.getByRole("button", { name: "change agent or conversation" }).click();
    const known = page.getByLabel("Known");
    await known.waitFor();
    await page.getByRole("button", { name: "Change", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("agent-1 · default: from then on").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await known.selectOption("agent-2 default");
    await page.getByRole("button", { name: "Change", exact: true }).waitFor({ state: "detached" });
    expect(await mode.inputValue()).toBe("");
    expect(faults).toEqual([]);
  });

  test("the Stop button shows its progress, is red while something can be stopped, and needs an agent", async () => {
    const { page, faults } = await open("/device/idle", phone);
    const stop = page.getByRole("button", { name: /^Stop/ });
    expect(await stop.isDisabled()).toBe(true);
    await nameAgent(page, "agent-1");
    await page.keyboard.press("Tab");
    let respond: (() => void) | undefined;
    await page.route("**/stop", async (route) => {
      await new Promise<void>((resolve) => (respond = resolve));
      await route.fulfill({ json: { success: true, stopped: false } });
    });
    for (let press = 0; press < 2; press += 1) {
      await stop.click();
      await page.getByRole("button", { name: "Stopping …", disabled: true }).waitFor();
      await expect.poll(() => respond).toBeDefined();
      respond?.();
      respond = undefined;
      await page.getByRole("button", { name: "Stop", exact: true, disabled: false }).waitFor();
    }
    expect(await page.getByText("Nothing was running").count()).toBe(1);
    expect(await stop.getAttribute("class")).not.toContain("danger");
    await page.getByLabel("Message", { exact: true }).fill("Hello");
    await page.keyboard.press("Enter");
    await page.getByRole("log").getByText("Hello").waitFor();
    await expect.poll(() => stop.getAttribute("class")).toContain("danger");
    expect(faults).toEqual([]);
  });

  test("an agent is shown as working until its message ends, and then no tool call is shown as running", async () => {
    const { page, faults } = await open("/device/desk", phone);
    await nameAgent(page, "agent-1");
    await page.getByLabel("Message", { exact: true }).fill("Work");
    await page.keyboard.press("Enter");
    const input = await device.received.waitFor((frame) => JSON.stringify(frame).includes('"Work"'));
    const id = /"client_message_id":"([^"]+)"/.exec(JSON.stringify(input))?.[1] ?? "";
    const loop = { status: "PROCESSING_API_RESPONSE", active_run_ids: ["run-1"], executing_tool_call_ids: [] };
    const runs = { ...loop, client_message_ids_by_run_id: { "run-1": [id] } };
    emit(device, { type: "update_loop_status", loop_status: runs });
    say({ message_type: "client_tool_start", tool_call_id: "t-9", tool_name: "Sleep", tool_args: "{}" });
    const log = page.getByRole("log");
    await log.getByText("Working …").waitFor();
    await page.getByText("working", { exact: true }).waitFor();
    const tool = log.locator("summary", { hasText: "Sleep" });
    await tool.getByText("running").waitFor();
    emit(device, { type: "turn_finished", turn_id: "turn-9", stop_reason: "end_turn", run_id: "run-1" });
    await log.getByText("Working …").waitFor({ state: "detached" });
    await tool.getByText("stopped").waitFor();
    expect(faults).toEqual([]);
  });

  test("new output is offered as a link while the user is scrolled up, and code and results can be copied", async () => {
    await operator.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const { page, faults } = await open("/device/desk", phone);
    const log = page.getByRole("log");
    say({ message_type: "assistant_message", id: "code-1", content: "```ts\nconst a = 1;\n```" });
    for (let index = 0; index < 40; index += 1)
      say({ message_type: "assistant_message", id: `read-${index}`, content: `read ${index}.` });
    await log.getByText("read 39.").waitFor();
    await log.getByText("const a = 1;").locator("../..").getByRole("button", { name: "Copy" }).click();
    await log.getByRole("button", { name: "Copied" }).waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe("const a = 1;");
    say({ message_type: "assistant_message", id: "read-new", content: "the new one" });
    await page.getByRole("button", { name: "New output ↓" }).click();
    await page.getByRole("button", { name: "New output ↓" }).waitFor({ state: "detached" });
    const rest = "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)";
    expect(await page.evaluate<number>(`Math.round(${rest}(document.querySelector(".log")))`)).toBeLessThan(2);
    expect(faults).toEqual([]);
  });

  test("on a touch screen Enter inserts a line break, and fields are large enough that browsers do not zoom in", async () => {
    const storageState = await operator.context.storageState();
    const touched = await launched.browser.newContext({
      storageState,
      viewport: phone,
      hasTouch: true,
      isMobile: true,
    });
    const { page, faults } = await openPage(touched, launched.url);
    await page.goto(`${launched.url}/console/#/device/desk`);
    const box = page.getByLabel("Message", { exact: true });
    await box.fill("one");
    await page.keyboard.press("Enter");
    await page.keyboard.type("two");
    expect(await box.inputValue()).toBe("one\ntwo");
    expect(await page.evaluate("getComputedStyle(document.getElementById('message')).fontSize")).toBe("16px");
    expect(faults).toEqual([]);
    await touched.close();
  });

  test("Enter without an agent moves to the agent field, and a known agent is one line that can be changed", async () => {
    const { page, faults } = await open("/device/fresh", phone);
    const box = page.getByLabel("Message", { exact: true });
    await page.getByText("letta agents list").waitFor();
    await box.fill("Hello");
    await page.keyboard.press("Enter");
    await page.keyboard.type("agent-7");
    await page.keyboard.press("Tab");
    // The field of the conversation is still there.
    await page.keyboard.type("s");
    await box.click();
    await page.getByText("agent-7 · s").waitFor();
    expect(await page.getByLabel("Agent", { exact: true }).count()).toBe(0);
    await page.keyboard.press("Shift+Tab");
    expect(await page.getByLabel("Agent", { exact: true }).count()).toBe(0);
    await page.keyboard.press("Enter");
    await page.keyboard.press("End");
    expect(await page.getByLabel("Agent", { exact: true }).inputValue()).toBe("agent-7");
    expect(await box.inputValue()).toBe("Hello");
    expect(faults).toEqual([]);
  });

  test("a click anywhere in a device's row opens its view, which links back to the list", async () => {
    const { page, faults } = await open("/devices", { width: 1024, height: 640 });
    const {
      x = 0,
      y = 0,
      width = 0,
      height = 0,
    } = (await page.getByRole("row", { name: /^fresh/ }).boundingBox()) ?? {};
    await page.mouse.click(x + width - 8, y + height - 4);
    await page.getByRole("heading", { name: "fresh", exact: true }).waitFor();
    await page.getByRole("link", { name: "‹ Devices" }).click();
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    expect(faults).toEqual([]);
  });
});
