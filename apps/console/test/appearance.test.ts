/** Accessibility, narrow pages, and what the page does when something goes wrong. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { ScriptedDevice } from "@letta-environments/testkit";
import { inChromium, launchForTests } from "./support/console-tests.ts";
import { emit } from "./support/emit.ts";
import { openPage } from "./support/gateway.ts";
import { reportAsHostile } from "./support/hostile-device.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A finding of axe. */
interface Finding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

inChromium(() => {
  const launched = launchForTests();
  let device: ScriptedDevice;
  let context: BrowserContext;

  beforeAll(async () => {
    const { deviceId, connectionName } = reportAsHostile.registration;
    device = await launched.connect(deviceId, connectionName);
    for (const frame of reportAsHostile.frames) emit(device, frame);
    await (await launched.connect("gone")).close();
    const headers = await launched.headersOf("admin");
    const body = JSON.stringify({ tags: ["ci", "gpu", "linux"] });
    await fetch(`${launched.url}/v1/environments/gone`, { method: "PATCH", headers, body });
  });

  afterEach(async () => {
    await context?.close();
  });

  async function signIn(options: Parameters<Browser["newContext"]>[0] = {}, expected?: RegExp) {
    context = await launched.browser.newContext({ ...options, bypassCSP: false });
    const watched = await openPage(context, launched.url, expected);
    await watched.page.goto(await launched.gateway.link());
    await watched.page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    return watched;
  }

  /** Shows a view and waits for its last part. */
  async function show(page: Page, view: string, heading: string | RegExp): Promise<void> {
    await page.evaluate(`location.hash = ${JSON.stringify(view)}`);
    await page.getByRole("heading", { name: heading }).first().waitFor();
  }

  const views: readonly (readonly [string, string | RegExp])[] = [
    ["/devices", "Devices"],
    [`/device/${reportAsHostile.registration.deviceId}`, /./],
    ["/device/gone", "gone"],
    ["/approvals", "Approvals"],
    ["/overview", "Devices online"],
    ["/keys", "Keys"],
    ["/audit", "Audit log"],
  ];

  async function findings(page: Page): Promise<readonly string[]> {
    // The policy of the page forbids to add a script; the debugger is not a part of the page.
    await page.evaluate(axe);
    const options = JSON.stringify({ rules: { "target-size": { enabled: true } } });
    const result = await page.evaluate<readonly Finding[]>(
      `axe.run(document, ${options}).then(({ violations }) => violations)`,
    );
    return result
      .filter(({ impact }) => impact !== "minor")
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  }

  let replies = 0;

  /** The device whose view is open says something with a link, a table and code. */
  async function reply(page: Page): Promise<void> {
    replies += 1;
    emit(device, reportAsHostile.output(replies));
    await page.getByRole("log").getByText("said by the device").last().waitFor();
  }

  const low = { width: 844, height: 390 };

  test.each([
    ["light", {}],
    ["dark", {}],
    ["light", { forcedColors: "active" }],
    ["light", { viewport: low, hasTouch: true, isMobile: true }],
    ["light", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
  ] as const)("axe finds nothing more than minor issues in any view, in %s with %j", async (colorScheme, options) => {
    const { page, faults } = await signIn({ colorScheme, ...options });
    for (const [view, heading] of views) {
      await show(page, view, heading);
      if (view.startsWith("/device/hostile")) await reply(page);
      expect({ view, findings: await findings(page) }).toEqual({ view, findings: [] });
    }
    await show(page, "/keys", "Keys");
    await page.getByRole("button", { name: "Create a key" }).click();
    expect(await findings(page)).toEqual([]);
    expect(faults).toEqual([]);
    const signedOut = await (await launched.browser.newContext({ colorScheme })).newPage();
    await signedOut.goto(`${launched.url}/console/`);
    await signedOut.getByLabel("Gateway key").waitFor();
    expect(await findings(signedOut)).toEqual([]);
    await signedOut.context().close();
  });

  test.each(["light", "dark"] as const)(
    "the edge of a field has a contrast of 3 to 1 or more, in %s",
    async (colorScheme) => {
      const { page } = await signIn({ colorScheme });
      const contrasts = await page.evaluate<readonly number[]>(`(() => {
      const light = (color) => color.match(/\\d+/g).slice(0, 3).map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0.05);
      return [...document.querySelectorAll(".filters > :is(input, select)")].map((field) => {
        const edge = light(getComputedStyle(field).borderTopColor);
        const page = light(getComputedStyle(document.body).backgroundColor);
        return Math.max(edge, page) / Math.min(edge, page);
      });
    })()`);
      expect(contrasts.length).toBeGreaterThan(2);
      expect(Math.min(...contrasts)).toBeGreaterThanOrEqual(3);
    },
  );

  test("with forced colours, only the current view is marked, and an online device still has its dot", async () => {
    // On a slow machine its last sign of life is too old by now.
    device.send({ type: "ping" });
    const { page } = await signIn({ forcedColors: "active" });
    await page.getByRole("row", { name: /^hostile.* online/ }).waitFor();
    const looks = await page.evaluate<readonly boolean[]>(`(() => {
      const edge = (link) => getComputedStyle(link).borderBottomColor;
      const header = getComputedStyle(document.querySelector(".top")).backgroundColor;
      const isSeen = [...document.querySelectorAll("nav a")].map((link) => edge(link) !== header);
      return [...isSeen, getComputedStyle(document.querySelector(".row .dot.good")).backgroundColor !== header];
    })()`);
    expect(looks).toEqual([true, false, false, false, false, true]);
  });

  test("in a short window neither the header nor the message box covers the log or a request", async () => {
    const { page } = await signIn({ viewport: low });
    await show(page, `/device/${reportAsHostile.registration.deviceId}`, /./);
    await reply(page);
    for (const selector of [".log > :last-child", ".approval .primary", ".approval h2"])
      for (const block of ["start", "end"]) {
        const isReachable = await page.evaluate<boolean>(`(() => {
          const target = document.querySelector(${JSON.stringify(selector)});
          target.scrollIntoView({ block: "${block}" });
          const { left, top, bottom, width } = target.getBoundingClientRect();
          return target.contains(document.elementFromPoint(left + width / 2, ${block === "start" ? "top + 3" : "bottom - 3"}));
        })()`);
        expect({ selector, block, isReachable }).toEqual({ selector, block, isReachable: true });
      }
  });

  test("a conversation is printed in full, without screen-only elements", async () => {
    const { page } = await signIn();
    await show(page, `/device/${reportAsHostile.registration.deviceId}`, /./);
    for (let count = 0; count < 4; count += 1) await reply(page);
    await page.emulateMedia({ media: "print" });
    const hidden = "(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)(document.querySelector('.log'))";
    expect(await page.evaluate<number>(hidden)).toBeLessThan(2);
    for (const selector of [".top", ".composer", ".stop"]) expect(await page.locator(selector).isVisible()).toBe(false);
  });

  test("no view is wider than a page of 360 pixels", async () => {
    const { page, faults } = await signIn({ viewport: { width: 360, height: 700 } });
    for (const [view, heading] of views) {
      await show(page, view, heading);
      const width = await page.evaluate<number>("document.documentElement.scrollWidth");
      expect({ view, width }).toEqual({ view, width: 360 });
    }
    expect(faults).toEqual([]);
  });

  test("no field that a device can set is rendered as markup or runs a script", async () => {
    const { page, faults } = await signIn();
    for (const [view, heading] of views) {
      await show(page, view, heading);
      const injected = await page.evaluate<number>(
        "document.querySelectorAll('img, iframe, object, embed, base, svg:not(.plot svg), script:not([src])').length",
      );
      expect({ view, injected }).toEqual({ view, injected: 0 });
      const links = await page.evaluate<readonly string[]>(
        "[...document.querySelectorAll('a')].map((link) => link.protocol)",
      );
      expect(links.every((protocol) => ["http:", "https:", "mailto:"].includes(protocol))).toBe(true);
    }
    await show(page, `/device/${reportAsHostile.registration.deviceId}`, /./);
    await reply(page);
    expect(await page.getByRole("log").locator("img, script, iframe").count()).toBe(0);
    expect(await page.evaluate("globalThis.hostile === undefined")).toBe(true);
    expect(faults).toEqual([]);
  });

  test("the page's content security policy blocks inline scripts, markup from strings and other hosts", async () => {
    const { page } = await signIn({}, /./);
    const attempts = await page.evaluate<readonly string[]>(`(async () => {
      const outcome = async (run) => { try { await run(); return "done"; } catch (error) { return error.name; } };
      return Promise.all([
        outcome(() => { document.body.innerHTML = "<b>x</b>"; }),
        outcome(() => { const script = document.createElement("script"); script.text = "globalThis.hostile = 1"; document.body.append(script); }),
        outcome(() => fetch("http://127.0.0.1:1/")),
        outcome(() => trustedTypes.createPolicy("own", {})),
      ]);
    })()`);
    expect(attempts).toEqual(["TypeError", "TypeError", "TypeError", "TypeError"]);
    expect(await page.evaluate("globalThis.hostile === undefined")).toBe(true);
  });

  test("another page can neither frame the console nor use its session", async () => {
    const { page } = await signIn({}, /./);
    const { port } = new URL(launched.url);
    const outside = await context.newPage();
    // The same machine under another name is another origin, and the only one that this test can reach.
    await outside.goto(`http://localhost:${port}/livez`);
    const target = JSON.stringify(`${launched.url}/v1/environments`);
    const read = `fetch(${target}, { credentials: "include" }).then((response) => response.status, (error) => error.name)`;
    expect(await outside.evaluate(read)).toBe("TypeError");
    const write = `fetch(${JSON.stringify(`${launched.url}/admin/v1/keys`)}, { method: "POST", mode: "no-cors", credentials: "include", headers: { "content-type": "text/plain" }, body: '{"name":"csrf","scopes":["admin"]}' })`;
    await outside.evaluate(write);
    const framed = await outside.evaluate(`new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.src = ${JSON.stringify(`${launched.url}/console/`)};
      frame.onload = () => { try { resolve(frame.contentDocument === null ? "blocked" : frame.contentDocument.title); } catch { resolve("blocked"); } };
      document.body.append(frame);
    })`);
    expect(framed).toBe("blocked");
    expect(outside.frames().some((frame) => frame.url().includes("/console/"))).toBe(false);
    await show(page, "/keys", "Keys");
    await page.getByRole("heading", { name: "console" }).first().waitFor();
    expect(await page.getByText("csrf").count()).toBe(0);
  });

  test("a gateway without events is polled, and the connection is shown as lost while it does not respond", async () => {
    const { page } = await signIn({}, /404|ERR_FAILED/);
    await page.clock.install();
    await page.route("**/v1/environments/events*", (route) =>
      route.fulfill({
        status: 404,
        contentType: "application/problem+json",
        json: { errorCode: "endpoint_not_found" },
      }),
    );
    await page.reload();
    const state = page.getByRole("banner").getByRole("status");
    await expect.poll(() => state.textContent()).toBe("Every 5 s");
    await page.getByRole("table").waitFor();
    await page.getByText("This gateway has no events").waitFor();
    expect(await findings(page)).toEqual([]);

    await page.route("**/v1/environments?*", (route) => route.abort());
    const failed = page.waitForEvent("requestfailed", (request) => request.url().includes("/v1/environments?"));
    await page.clock.fastForward(5_000);
    await failed;
    await expect.poll(() => state.textContent(), { timeout: 10_000 }).toBe("Connection lost");
    await page.getByRole("table").waitFor();

    await page.unroute("**/v1/environments?*");
    await page.clock.fastForward(5_000);
    await expect.poll(() => state.textContent(), { timeout: 10_000 }).toBe("Every 5 s");
  });

  test("a sign-in link works once; a used link explains what to do next, and is removed from the address bar", async () => {
    const { page } = await signIn({}, /401/);
    const link = await launched.gateway.link();
    await page.context().clearCookies();
    await page.goto("about:blank");
    await page.goto(link);
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    expect(page.url()).not.toContain("lek_");
    await page.context().clearCookies();
    await page.goto("about:blank");
    await page.goto(link);
    await page.getByText("This sign-in link cannot be used.").waitFor();
    await page.getByText("letta-proxy console link").first().waitFor();
    expect(page.url()).not.toContain("lek_");
  });

  test("a sign-in link asks before it replaces a session", async () => {
    const { page, faults } = await signIn();
    await page.goto("about:blank");
    await page.goto(await launched.gateway.link("--scope", "list"));
    await page.getByRole("button", { name: "Stay signed in" }).click();
    await page.getByRole("link", { name: "Keys" }).waitFor();
    // The history of the browser still has it.
    await page.getByRole("region", { name: "Messages" }).getByText("The link was not used and still works").waitFor();
    expect(faults).toEqual([]);
  });

  test("a sign-in link pasted into an open page also asks, signs in, and is removed from the address bar", async () => {
    const { page, faults } = await signIn();
    for (const answer of ["Stay signed in", "Use the link"]) {
      const link = new URL(await launched.gateway.link("--scope", "list"));
      await page.evaluate(`location.hash = ${JSON.stringify(link.hash)}`);
      await page.getByRole("button", { name: answer }).waitFor();
      expect(page.url()).not.toContain("lek_");
      await page.getByRole("button", { name: answer }).click();
      await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
      const isReplaced = answer === "Use the link";
      expect(await page.getByRole("link", { name: "Keys" }).count()).toBe(isReplaced ? 0 : 1);
    }
    expect(faults).toEqual([]);
  });

  test("a refused sign-in link leaves the session unchanged, and the page gives the reason", async () => {
    const { page } = await signIn({}, /401/);
    const link = await launched.gateway.link();
    const other = await launched.browser.newContext();
    const used = await other.newPage();
    await used.goto(link);
    await used.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    await other.close();
    await page.evaluate(`location.hash = ${JSON.stringify(new URL(link).hash)}`);
    await page.getByRole("button", { name: "Use the link" }).click();
    await page.getByRole("region", { name: "Messages" }).getByText("This sign-in link cannot be used.").waitFor();
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    await page.reload();
    await page.getByText("Live", { exact: true }).waitFor();
    await page.locator("summary").click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    expect(await page.getByText("This sign-in link cannot be used.").count()).toBe(0);
  });

  test("a key signs in with only its own rights, and signing out ends the session", async () => {
    const key = await launched.gateway.proxy.createKey({ scopes: ["list", "read"] });
    context = await launched.browser.newContext();
    const { page, faults } = await openPage(context, launched.url);
    await page.goto(`${launched.url}/console/`);
    await page.getByLabel("Gateway key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    expect(await page.getByRole("navigation").getByRole("link").allTextContents()).toEqual(["Devices"]);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/" });
    expect(await page.evaluate("document.cookie")).toBe("");
    await page.locator("summary").click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    expect(await context.cookies()).toEqual([]);
    const headers = { cookie: `${cookie?.name}=${cookie?.value}`, "sec-fetch-site": "same-origin" };
    expect((await fetch(`${launched.url}/v1/environments`, { headers })).status).toBe(401);
    expect(faults).toEqual([]);
  });

  test("a tab whose session was replaced by another sign-in says so, and does not use the new session", async () => {
    const { page: first } = await signIn({}, /401/);
    const second = await context.newPage();
    await second.goto(await launched.gateway.link("--scope", "list"));
    await second.getByRole("button", { name: "Use the link" }).click();
    await second.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    await first.getByText("Your session has ended.").waitFor();
    await second.reload();
    await second.getByText("Live", { exact: true }).waitFor();
    expect(await second.getByRole("navigation").getByRole("link").allTextContents()).toEqual(["Devices"]);
  });

  test("an ended session and an unreachable gateway are shown, each with a next step", async () => {
    const { page } = await signIn({}, /./);
    await show(page, "/keys", "Keys");
    const own = page.getByRole("article").filter({ hasText: "this session" });
    await own.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByText("Your session has ended.").waitFor();
    await page.getByLabel("Gateway key").waitFor();
    await page.goto("about:blank");
    await page.goto(await launched.gateway.link());
    await page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await launched.gateway.proxy.stop();
    await page.getByText("The gateway does not respond. What you see may be outdated.").waitFor();
    expect(await page.getByRole("button", { name: "Try now" }).isVisible()).toBe(true);
  });
});
