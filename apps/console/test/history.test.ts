/** The history of a device, its labels, and lasting permissions, in Chromium against a running gateway with a scripted device. */
import { beforeAll, expect, test } from "vitest";
import type { ScriptedDevice } from "@letta-environments/testkit";
import { inChromium, launchForTests, signInOperator } from "./support/console-tests.ts";
import { emit } from "./support/emit.ts";
import { openPage, passTime } from "./support/gateway.ts";

const patiently = { timeout: 20_000 };

inChromium(() => {
  const launched = launchForTests();
  const operator = signInOperator(launched, 20_000);
  const { open } = operator;
  let device: ScriptedDevice;
  let headers: Readonly<Record<string, string>>;

  beforeAll(async () => {
    device = await launched.connect("keeps");
    headers = await launched.headersOf("list", "read", "send");
  });

  /** Sends a message, as a program does. The device starts its turn. */
  async function send(id: string, conversationId = "default"): Promise<void> {
    const messages = [{ role: "user", content: "hello", client_message_id: id }];
    const path = `${launched.url}/v1/environments/${device.connectionId}/messages`;
    const body = JSON.stringify({ agentId: "agent-1", conversationId, messages });
    expect((await fetch(path, { method: "POST", headers, body })).status).toBe(200);
  }

  /** The device reports the end of the turn, and the gateway knows it. */
  async function finish(id: string, members: object): Promise<void> {
    emit(device, { type: "turn_finished", turn_id: `turn-${id}`, ...members });
    const path = `${launched.url}/v1/environments/keeps/messages?limit=1`;
    await expect
      .poll(async () => (await (await fetch(path, { headers })).json()).messages[0], patiently)
      .toMatchObject({ clientMessageId: id, state: "finished" });
  }

  test("the history lists every client's messages once, with outcome and duration, and older ones on demand", async () => {
    for (let index = 0; index < 25; index += 1) {
      const id = `m-${index}`;
      await send(id);
      await finish(id, index === 24 ? { stop_reason: "error", error: "It broke" } : { stop_reason: "end_turn" });
    }
    const { page, faults } = await open("/device/keeps");
    const history = page.getByRole("complementary").getByRole("listitem");
    await expect.poll(() => history.count(), patiently).toBe(20);
    expect(await history.first().textContent()).toMatch(/failed in.*It broke/);
    await page.getByRole("button", { name: "Older messages" }).click();
    await expect.poll(() => history.count(), patiently).toBe(25);
    expect(await history.last().getAttribute("title")).toBe("m-0");
    expect(await history.last().textContent()).toMatch(/finished in.*\(no text kept\)/);
    expect(await page.getByRole("button", { name: "Older messages" }).count()).toBe(0);
    const live = page.getByTitle("m-live");
    await send("m-live");
    await live.getByText("accepted").waitFor();
    await finish("m-live", { stop_reason: "end_turn" });
    await live.getByText(/finished in/).waitFor();
    await expect.poll(() => history.count(), patiently).toBe(26);
    await send("m-other", "aside");
    await page.getByTitle("m-other").getByRole("button").click();
    await expect.poll(() => page.getByText("agent-1 · aside").count(), patiently).toBe(1);
    expect(faults).toEqual([]);
  });

  test("a list that cannot be read is reported, and can be read again", async () => {
    await operator.context.route(/\/messages\?/, (route) => route.abort());
    const { page } = await open("/device/keeps", /ERR_FAILED/);
    const aside = page.getByRole("complementary");
    await aside.getByRole("alert").waitFor();
    await operator.context.unroute(/\/messages\?/);
    await aside.getByRole("button", { name: "Try again" }).click();
    await aside.getByRole("button", { name: "Older messages" }).waitFor();
    expect(await aside.getByRole("alert").count()).toBe(0);
  });

  test("an administrator changes name and tags; a refusal is shown in the form, and changes nothing", async () => {
    const { page, faults } = await open("/device/keeps", /400/);
    await page.getByRole("button", { name: "Change name and tags" }).click();
    await page.getByLabel("Name", { exact: true }).fill("Build machine");
    await page.getByLabel("Tags", { exact: true }).fill("ci, größe");
    await page.getByRole("button", { name: "Save" }).click();
    await page
      .getByRole("complementary")
      .getByRole("alert")
      .getByText(/tags\[1\]/)
      .waitFor();
    await page.getByRole("heading", { name: "keeps", exact: true }).waitFor();
    await page.getByLabel("Tags", { exact: true }).fill("ci, gpu");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "Build machine", exact: true }).waitFor();
    await page.getByText("ci, gpu", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Change name and tags" }).click();
    await page.getByLabel("Name", { exact: true }).fill("");
    await page.getByLabel("Tags", { exact: true }).fill("");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "keeps", exact: true }).waitFor();
    expect(faults).toEqual([]);
  });

  test("a session without the scope admin cannot edit labels", async () => {
    const other = await launched.browser.newContext();
    const { page, faults } = await openPage(other, launched.url);
    await page.goto(await launched.gateway.link("--scope", "list", "--scope", "read"));
    await page.getByRole("link", { name: "keeps" }).click();
    await page.getByRole("heading", { name: "Messages" }).waitFor();
    expect(await page.getByRole("button", { name: "Change name and tags" }).count()).toBe(0);
    expect(faults).toEqual([]);
    await other.close();
  });

  test("a request can be allowed together with a suggested lasting permission, which the device receives", async () => {
    const permission_suggestions = [{ id: "save-default", text: "Yes, and don't ask again for 'npm test'" }];
    const asked = {
      subtype: "can_use_tool",
      tool_name: "Bash",
      input: { command: "npm test" },
      tool_call_id: "call-1",
    };
    const request = { ...asked, permission_suggestions };
    emit(device, { type: "control_request", request_id: "perm-call-1", request });
    const { page, faults } = await open("/approvals");
    await page
      .getByRole("button", { name: "Allow, and from now on: “Yes, and don't ask again for 'npm test'”" })
      .click();
    await page.getByText("Nothing waits for you").waitFor();
    const input = await device.received.waitFor((frame) => JSON.stringify(frame).includes("perm-call-1"));
    expect(JSON.stringify(input)).toContain('"selected_permission_suggestion_ids":["save-default"]');
    expect(faults).toEqual([]);
  });

  test("a session that may list requests but send nothing is offered no decision, and its keys decide nothing", async () => {
    const asked = {
      subtype: "can_use_tool",
      tool_name: "Bash",
      input: { command: "npm test" },
      tool_call_id: "call-2",
    };
    emit(device, { type: "control_request", request_id: "perm-call-2", request: asked });
    const other = await launched.browser.newContext();
    const { page, faults } = await openPage(other, launched.url);
    await page.goto(await launched.gateway.link("--scope", "list", "--scope", "approve"));
    await page.getByRole("link", { name: /^Approvals/ }).click();
    const card = page.getByRole("article");
    await card.getByText("The key of this session lacks the scope “send”, so it cannot decide.").waitFor();
    expect(await card.getByRole("button").count()).toBe(0);
    await page.keyboard.press("j");
    await passTime(page, 600);
    await page.keyboard.press("d");
    await page.keyboard.press("a");
    expect(await page.getByLabel("Reason for the agent").count()).toBe(0);
    expect(await page.getByRole("region", { name: "Messages" }).textContent()).toBe("");
    expect(faults).toEqual([]);
    await other.close();
  });
});
