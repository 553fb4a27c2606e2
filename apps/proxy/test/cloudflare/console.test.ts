/** The console on Workers: its sessions, which are in a Durable Object, and its page in Chromium. */
import { existsSync } from "node:fs";
import process from "node:process";
import { createFakeUpstream, type FakeUpstream } from "@letta-environments/testkit";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { TestHarness } from "wrangler";
import { maxSessions } from "../../src/keys/sign-in.ts";
import { environmentRow } from "../support/environment-row.ts";
import { ask, type Answer, type AskedRequest } from "../runtimes/use-gateway.ts";
import { administerKeys, launchWorker, workerSecrets } from "../runtimes/workerd-launcher.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const markup = `<img src=x onerror="globalThis.hostile=1"><script>globalThis.hostile=1</script>`;
const row = { ...environmentRow("1"), connectionName: `box ${markup}`, metadata: { gitBranch: markup } };
let upstream: FakeUpstream;
let server: TestHarness;
let url: string;
let keys: ReturnType<typeof administerKeys>;

beforeAll(async () => {
  upstream = await createFakeUpstream(({ method, target }, response) => {
    const found =
      method === "POST"
        ? { success: true, message: "Message sent." }
        : target.split("?")[0] === "/v1/environments"
          ? { connections: [row], hasNextPage: false }
          : row;
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(found));
  });
  ({ server, url } = await launchWorker({ UPSTREAM_URL: upstream.url }, { withConsole: true }));
  keys = administerKeys(url);
});
afterAll(async () => {
  await server?.close();
  await upstream?.close();
});

/** The headers of the console's own page. */
function own(): Readonly<Record<string, string>> {
  return { origin: url, "sec-fetch-site": "same-origin" };
}

function session(method: string, headers: AskedRequest["headers"] = {}, body?: object): Promise<Answer> {
  return ask(url, "/console/session", { method, headers: { ...own(), ...headers }, ...(body && { body }) });
}

async function signIn(key: string, cookie?: string): Promise<string> {
  const response = await session("POST", cookie === undefined ? {} : { cookie }, { key });
  expect(response.status).toBe(201);
  return /^[^;]+/.exec(response.headers.get("set-cookie") ?? "")?.[0] ?? "";
}

const list = async (cookie: string, headers: Readonly<Record<string, string>> = own()): Promise<number> =>
  (await ask(url, "/v1/environments", { headers: { ...headers, cookie } })).status;

describe("console sessions on Workers", () => {
  test("a session on Workers has exactly the rights of its key, lists the missing features, and is stored as a digest", async () => {
    const { id, key } = await keys.createKey({ scopes: ["list"] });
    const response = await session("POST", {}, { key });
    expect(response.json).toMatchObject({
      keyId: id,
      scopes: ["list"],
      gateway: { servesDevices: false, servesExtensions: false, isAdministered: true },
    });
    expect(response.headers.get("set-cookie")).toMatch(
      /^letta-console-\d+=\w+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/,
    );
    const cookie = /^[^;]+/.exec(response.headers.get("set-cookie") ?? "")?.[0] ?? "";
    expect(await list(cookie)).toBe(200);
    expect((await ask(url, "/admin/v1/keys", { headers: { ...own(), cookie } })).status).toBe(403);
    const sql = await server.getWorker().getDurableObjectStorage("KEYS", { name: "keys" });
    const stored = JSON.stringify(await sql.exec("SELECT record FROM keys WHERE id = ?", id));
    expect(stored).toContain('\\"use\\":\\"session\\"');
    expect(stored).not.toContain(cookie.split("=")[1]);
  });

  test("a session on Workers is ignored in requests of other origins, and another origin cannot sign in or out", async () => {
    const { key } = await keys.createKey({ scopes: ["list", "admin"] });
    const cookie = await signIn(key);
    const others: Readonly<Record<string, string>>[] = [
      { "sec-fetch-site": "cross-site", origin: "https://evil.example" },
      { "sec-fetch-site": "same-origin", origin: "https://evil.example" },
      { "sec-fetch-site": "same-site", origin: url },
      { "sec-fetch-site": "same-origin", origin: "null" },
      { origin: url },
      {},
    ];
    for (const headers of others) {
      expect([headers, await list(cookie, headers)]).toEqual([headers, 401]);
      const create = { headers: { ...headers, cookie }, body: { name: "csrf", scopes: ["admin"] } };
      expect([401, 403]).toContain((await ask(url, "/admin/v1/keys", create)).status);
      const signInThere = { headers, body: { key } };
      expect((await ask(url, "/console/session", signInThere)).json["errorCode"]).toBe("origin_not_allowed");
      const signOutThere = { method: "DELETE", headers: { ...headers, cookie } };
      expect((await ask(url, "/console/session", signOutThere)).json["errorCode"]).toBe("origin_not_allowed");
    }
    const named = (await ask(url, "/admin/v1/keys", { key: workerSecrets.ADMIN_TOKEN })).text;
    expect(named).not.toContain("csrf");
    expect(await list(cookie)).toBe(200);
    const direct = { key, headers: { origin: "https://evil.example" } };
    const refused = await ask(url, "/admin/v1/keys", direct);
    expect([refused.status, refused.json["errors"]]).toEqual([403, [expect.objectContaining({ member: "origin" })]]);
  });

  test("a sign-in on Workers never reuses an existing session, and two cookies with one name are ignored", async () => {
    const [attacker, victim] = [await keys.createKey({ scopes: ["list"] }), await keys.createKey({ scopes: ["list"] })];
    const planted = await signIn(attacker.key);
    const cookie = await signIn(victim.key, planted);
    expect(cookie).not.toBe(planted);
    expect((await session("GET", { cookie })).json).toMatchObject({ keyId: victim.id });
    expect(await list(`${planted}; ${cookie}`)).toBe(401);
  });

  test("a session on Workers administers as its key does, and every change is in the audit log with that key", async () => {
    const { id, key } = await keys.createKey({ scopes: ["list", "admin"] });
    const headers = { ...own(), cookie: await signIn(key) };
    const created = await ask(url, "/admin/v1/keys", { headers, body: { name: "made here", scopes: ["list"] } });
    expect(created.status).toBe(201);
    const rotate = { method: "POST", headers };
    expect((await ask(url, `/admin/v1/keys/${id}/rotate`, rotate)).status).toBe(403);
    const sql = await server.getWorker().getDurableObjectStorage("AUDIT", { name: "audit" });
    const records = JSON.stringify(await sql.exec("SELECT text FROM audit_records"));
    for (const part of ["signed_in", id, String(created.json["id"])]) expect(records).toContain(part);
  });

  test("a session on Workers ends with its key, with a rotation, and when its user signs out", async () => {
    for (const end of ["revoke", "rotate", "sign out"]) {
      const { id, key } = await keys.createKey({ scopes: ["list"] });
      const cookie = await signIn(key);
      expect(await list(cookie)).toBe(200);
      if (end === "sign out") {
        const ended = await session("DELETE", { cookie });
        expect([ended.status, ended.headers.get("set-cookie")]).toEqual([204, expect.stringContaining("Max-Age=0")]);
      } else {
        const change = { method: "POST", key: workerSecrets.ADMIN_TOKEN };
        expect((await ask(url, `/admin/v1/keys/${id}/${end}`, change)).status).toBe(200);
      }
      await vi.waitUntil(async () => (await list(cookie)) === 401, { timeout: 20_000 });
      expect((await session("GET", { cookie })).status).toBe(204);
    }
  });

  test("a session on Workers survives the eviction of the object that has the keys, and a key has at most ten", async () => {
    const { key } = await keys.createKey({ scopes: ["list"] });
    const first = await signIn(key);
    await server.getWorker().evictDurableObject("KEYS", { name: "keys" });
    expect(await list(first)).toBe(200);
    for (let count = 1; count < maxSessions; count++) await signIn(key);
    // A key signs in ten times at once, so the eleventh session waits for its limit.
    const another = () => session("POST", {}, { key });
    await vi.waitUntil(async () => (await another()).status === 201, { timeout: 20_000, interval: 500 });
    await vi.waitUntil(async () => (await list(first)) === 401, { timeout: 20_000 });
  });

  test("an operator's token, a link or another session cannot open a session on Workers", async () => {
    const { key } = await keys.createKey({ scopes: ["list"] });
    const [, secret = ""] = (await signIn(key)).split("=");
    for (const credential of [{ key: workerSecrets.ADMIN_TOKEN }, { key: secret }, { link: key }, { link: secret }]) {
      const { status, headers } = await session("POST", {}, credential);
      expect([status, headers.get("set-cookie")]).toEqual([401, null]);
    }
  });
});

const program = "/usr/bin/chromium";
/** Outside CI a missing browser is reported and its tests are left out; in CI they fail. */
const browsers = existsSync(program) || process.env["CI"] ? ["Chromium"] : [];
if (browsers.length === 0) process.stderr.write(`\nSKIPPED: the console on Workers. There is no ${program}\n\n`);

describe.each(browsers)("in %s", () => {
  let browser: Browser;
  let context: BrowserContext;
  beforeAll(async () => {
    const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
    browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu", ...quiet] });
  });
  afterEach(() => context?.close());
  afterAll(() => browser?.close());

  /** Opens a page that notes errors of the browser's console and requests to other hosts. */
  async function openPage(): Promise<{ readonly page: Page; readonly faults: string[] }> {
    context = await browser.newContext();
    const page = await context.newPage();
    const faults: string[] = [];
    page.on("console", (message) => void (message.type() === "error" && faults.push(message.text())));
    page.on("pageerror", (error) => void faults.push(String(error)));
    page.on("request", (sent) => {
      if (new URL(sent.url()).origin !== url) faults.push(`request to ${sent.url()}`);
    });
    return { page, faults };
  }

  async function openSignedIn(...scopes: Parameters<typeof keys.createKey>[0]["scopes"]) {
    const { key } = await keys.createKey({ scopes });
    const opened = await openPage();
    await opened.page.goto(`${url}/console/`);
    await opened.page.getByLabel("Gateway key").fill(key);
    await opened.page.getByRole("button", { name: "Sign in" }).click();
    await opened.page.getByRole("heading", { name: "Devices", exact: true }).waitFor();
    return opened;
  }

  test("a key signs in, the devices are listed, missing features are named, and signing out ends the session", async () => {
    const { page, faults } = await openSignedIn("list", "read", "send", "approve", "view", "control");
    await page.getByRole("link", { name: /^box/ }).waitFor();
    await page.getByText("This gateway has no events").waitFor();
    expect(await page.getByRole("banner").getByRole("status").textContent()).toBe("Every 5 s");
    expect(await page.getByRole("navigation").getByRole("link").allTextContents()).toEqual(["Devices"]);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/" });
    expect(
      await page.evaluate("[document.cookie, document.querySelectorAll('img').length, globalThis.hostile]"),
    ).toEqual(["", 0, undefined]);
    await page.locator("summary").click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    expect(await context.cookies()).toEqual([]);
    await vi.waitUntil(async () => (await list(`${cookie?.name}=${cookie?.value}`)) === 401, { timeout: 20_000 });
    expect(faults).toEqual([]);
  });

  test("the pages of /docs work as static files: an example is sent with the key that the reader types", async () => {
    const { key } = await keys.createKey({ scopes: ["list"] });
    const { page, faults } = await openPage();
    await page.goto(`${url}/docs`);
    await page.fill('#credentials input[name="key"]', key);
    await page.click("#listEnvironments details:has(form) summary");
    await page.click("#listEnvironments form button");
    await page.locator("#listEnvironments output").getByText(/^200/).waitFor();
    await page.goto(`${url}/docs/problems/overloaded`);
    await page.getByRole("link", { name: "Problems" }).click();
    await page.getByRole("heading", { name: "Problems" }).waitFor();
    expect(faults).toEqual([]);
  });

  test("a message is sent, and its outcome is shown although there are no events", async () => {
    const { page, faults } = await openSignedIn("list", "read", "send", "control");
    await page.getByRole("link", { name: /^box/ }).click();
    await page.getByText("What happens on the device is not shown").waitFor();
    expect(await page.getByRole("button", { name: "Stop" }).count()).toBe(0);
    await page.getByLabel("Agent", { exact: true }).fill("agent-1");
    await page.getByLabel("Message", { exact: true }).fill("Hello");
    await page.keyboard.press("Enter");
    await page.getByRole("log").getByText("accepted").waitFor();
    expect(
      await page.evaluate("[document.querySelectorAll('img, script:not([src])').length, globalThis.hostile]"),
    ).toEqual([0, undefined]);
    expect(faults).toEqual([]);
  });

  test("views that a Worker does not support are neither blank nor cause an error", async () => {
    const { page, faults } = await openSignedIn("list", "approve", "admin");
    expect(await page.getByRole("navigation").getByRole("link").allTextContents()).toEqual(["Devices", "Keys"]);
    expect(await page.getByRole("button", { name: "Invite a device" }).count()).toBe(0);
    const texts: readonly (readonly [string, string | RegExp])[] = [
      ["/approvals", "This gateway has no events, so it does not know"],
      ["/overview", "This gateway keeps no figures of its requests"],
      ["/audit", "This gateway does not offer its audit log here."],
      ["/keys", "this session"],
      ["/device/nothing", "This device does not exist"],
    ];
    for (const [view, text] of texts) {
      await page.evaluate(`location.hash = ${JSON.stringify(view)}`);
      await page.getByText(text).first().waitFor();
    }
    expect(faults).toEqual([]);
  });

  test("the content policy is active: no markup from strings, no inline script, no other host, and no frame of another page", async () => {
    const { page } = await openSignedIn("list");
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
    // The same machine under another name is another origin.
    const outside = await context.newPage();
    await outside.goto(`${url.replace("127.0.0.1", "localhost")}/livez`);
    const read = `fetch(${JSON.stringify(`${url}/v1/environments`)}, { credentials: "include" }).then((response) => response.status, (error) => error.name)`;
    expect(await outside.evaluate(read)).toBe("TypeError");
    const framed = await outside.evaluate(`new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.src = ${JSON.stringify(`${url}/console/`)};
      frame.onload = () => { try { resolve(frame.contentDocument === null ? "blocked" : frame.contentDocument.title); } catch { resolve("blocked"); } };
      document.body.append(frame);
    })`);
    expect(framed).toBe("blocked");
    expect(outside.frames().some((frame) => frame.url().includes("/console/"))).toBe(false);
  });
});
