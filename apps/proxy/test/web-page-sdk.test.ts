/** The official SDK in a web page of another origin: the browser itself decides what the page may send and read. */
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { jsonResponse } from "@letta-environments/schema";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { environmentRow } from "./support/environment-row.ts";
import { knownConnections } from "./support/known-connections.ts";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";

const program = "/usr/bin/chromium";

/** Outside CI a missing browser is reported and its tests are left out; in CI they fail. */
const browsers = existsSync(program) || process.env["CI"] ? ["Chromium"] : [];
if (browsers.length === 0) process.stderr.write(`\nSKIPPED: the SDK in a web page. There is no ${program}\n\n`);

const script = `
import Letta from "@letta-ai/letta-client";
globalThis.useSdk = async ({ baseURL, apiKey }) => {
  const letta = new Letta({ baseURL, apiKey, maxRetries: 1 });
  const { data, response } = await letta.environments.list().withResponse();
  const body = { agentId: "agent-1", messages: [{ role: "user", content: "Hello", client_message_id: "page-1" }] };
  const sent = await letta.environments.sendMessage("conn-1", body);
  const refused = await letta.environments.retrieve("..x").catch((error) => error);
  return {
    devices: data.connections.map(({ deviceId }) => deviceId),
    requestId: response.headers.get("x-request-id") !== null,
    hasTime: Date.parse(response.headers.get("date")) > 0,
    sent: sent.success,
    refused: { status: refused.status, retry: refused.headers?.get("x-should-retry") },
  };
};
globalThis.readPublic = async (baseURL) => {
  const paths = ["/livez", "/readyz", "/openapi.json"];
  return Promise.all(paths.map(async (path) => (await fetch(baseURL + path)).status));
};
globalThis.readList = (baseURL, apiKey) =>
  fetch(baseURL + "/v1/environments", { headers: { authorization: "Bearer " + apiKey } }).then(({ status }) => status, String);
`;

describe.each(browsers)("in %s", () => {
  let gateway: NodeServerUnderTest;
  let pages: Server;
  let browser: Browser;
  let key = "";
  let [listed, unlisted] = ["", ""];

  beforeAll(async () => {
    const stdin = { contents: script, resolveDir: import.meta.dirname };
    const { outputFiles } = await build({ stdin, bundle: true, format: "esm", platform: "browser", write: false });
    const html = `<!doctype html><script type="module">${outputFiles[0]?.text ?? ""}</script>`;
    pages = createServer((_request, response) => response.setHeader("content-type", "text/html").end(html));
    await new Promise<void>((resolve) => void pages.listen(0, "127.0.0.1", resolve));
    const { port } = pages.address() as AddressInfo;
    // Two origins for the browser, and one server.
    [listed, unlisted] = [`http://127.0.0.1:${port}`, `http://localhost:${port}`];
    gateway = await startNodeServer(
      knownConnections(({ method, path }) =>
        Promise.resolve(
          method === "POST"
            ? jsonResponse(200, { success: true, message: "Message sent" })
            : path === "/v1/environments"
              ? jsonResponse(200, { connections: [environmentRow("laptop")], hasNextPage: false })
              : jsonResponse(404, {}),
        ),
      ),
      { config: { corsOrigins: [listed] } },
    );
    ({ key } = await gateway.issueKey());
    browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await gateway?.connections.close();
    pages?.close();
  });

  async function inPage(origin: string, expression: string): Promise<unknown> {
    const page = await browser.newPage();
    await page.goto(origin);
    const result: unknown = await page.evaluate(expression);
    await page.close();
    return result;
  }

  test("the unmodified SDK lists and sends, and can read the server's time, the reason of a refusal and whether to retry", async () => {
    const setting = JSON.stringify({ baseURL: gateway.url, apiKey: key });
    expect(await inPage(listed, `useSdk(${setting})`)).toEqual({
      devices: ["device-laptop"],
      requestId: true,
      hasTime: true,
      sent: true,
      refused: { status: 404, retry: "false" },
    });
  });

  test("a page of another origin cannot call the API, even with a key", async () => {
    const [url, apiKey] = [JSON.stringify(gateway.url), JSON.stringify(key)];
    expect(await inPage(unlisted, `readList(${url}, ${apiKey})`)).toBe("TypeError: Failed to fetch");
    expect(await inPage(listed, `readList(${url}, ${apiKey})`)).toBe(200);
  });

  test("every web page can read health and the API description, which are the same for everyone", async () => {
    expect(await inPage(unlisted, `readPublic(${JSON.stringify(gateway.url)})`)).toEqual([200, 200, 200]);
  });
});
