/** The web console beside the built gateway, on each runtime that runs it as a process. */
import { execFileSync } from "node:child_process";
import { cpSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { launchProcess } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { requestHead, sendRaw } from "../support/raw-http.ts";
import { builtArtefact } from "./built-artefact.ts";
import { installGateway, type ServerRuntime } from "./runtime-commands.ts";

test.each<ServerRuntime>(["node", "bun", "deno"])(
  "on %s the console is served from the files beside the gateway, and a link signs in",
  async (runtime) => {
    const folder = await mkdtemp(join(tmpdir(), "console-runtime-"));
    const [program, ...words] = installGateway(runtime, folder);
    const start = () =>
      launchProcess({ command: program, args: [...words, "start", "--port", "0", "--data-dir", "data"], cwd: folder });
    try {
      const without = start();
      // The printed commands run as they are, in the folder of the start.
      const [, invite = ""] = await without.waitForOutput(/^ {2}(\S.* devices invite .*)$/m);
      const path = `${dirname(program)}:${process.env["PATH"] ?? ""}`;
      const options = { cwd: folder, env: { PATH: path, HOME: folder }, encoding: "utf8" } as const;
      expect(execFileSync("sh", ["-c", invite.replace("NAME", "box")], options)).toContain("LETTA_API_KEY=lek_");
      const [, bare = ""] = await without.waitForOutput(/Listening on (\S+)/);
      await without.waitForOutput(/The web console is off: the folder 'console' is not beside the program/);
      const missing = await fetch(`${bare}/console/`);
      expect([missing.status, await missing.text()]).toEqual([404, expect.stringContaining("Copy that folder too")]);
      await without.stop();
      await rm(join(folder, "data"), { recursive: true });
      cpSync(builtArtefact("console"), join(folder, "console"), { recursive: true });
      const gateway = start();
      const [, url = "", link = ""] = await gateway.waitForOutput(
        /(http:\/\/127\.0\.0\.1:\d+)\/console\/#link=(lek_\w{62})/,
      );
      const root = await fetch(url, { headers: { accept: "text/html,*/*;q=0.8" } });
      expect([root.status, root.url]).toEqual([200, `${url}/console/`]);
      expect((await fetch(url)).status).toBe(404);
      const page = await fetch(`${url}/console/`);
      expect([page.status, page.headers.get("content-security-policy")]).toEqual([
        200,
        expect.stringContaining("default-src 'none'"),
      ]);
      const script = /src="(main-[^"]+\.js)"/.exec(await page.text())?.[1] ?? "";
      const loaded = await fetch(`${url}/console/${script}`);
      expect([loaded.headers.get("content-type"), loaded.headers.get("cache-control")]).toEqual([
        "text/javascript; charset=utf-8",
        "public, max-age=31536000, immutable",
      ]);
      expect(await loaded.text()).toContain("import");
      const known = { "if-none-match": `"other", W/${loaded.headers.get("etag") ?? ""}` };
      expect((await fetch(`${url}/console/${script}`, { headers: known })).status).toBe(304);
      const own = { origin: url, "sec-fetch-site": "same-origin", "content-type": "application/json" };
      const signedIn = await fetch(`${url}/console/session`, {
        method: "POST",
        headers: own,
        body: JSON.stringify({ link }),
      });
      expect(signedIn.status).toBe(201);
      const cookie = /^[^;]+/.exec(signedIn.headers.get("set-cookie") ?? "")?.[0] ?? "";
      expect((await fetch(`${url}/admin/v1/keys`, { headers: { ...own, cookie } })).status).toBe(200);
      expect((await fetch(`${url}/admin/v1/keys`, { headers: { cookie } })).status).toBe(401);
      // Cookies may be on several lines (RFC 9113 section 8.2.3).
      const twoLines = { ...own, host: new URL(url).host, cookie: "other=1", Cookie: cookie };
      expect((await sendRaw(url, requestHead("GET", "/admin/v1/keys", twoLines))).status).toBe(200);
      await gateway.stop();
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  },
);
