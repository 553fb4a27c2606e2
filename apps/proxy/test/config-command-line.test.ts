/** The texts of `config check` and `start` about the settings, in processes of their own. */
import { expect, test, vi } from "vitest";
import { useCommandLine } from "./support/use-command-line.ts";

vi.setConfig({ testTimeout: 60_000 });

const session = useCommandLine();
const { start, run } = session;

const noCredential = "letta-proxy: no credential for the upstream: LETTA_API_KEY is not set\n";

test("config check and a start say that no request will have a credential at the upstream", async () => {
  const env = { UPSTREAM_URL: "http://127.0.0.1:9" };
  expect(await run(["config", "check"], env)).toMatchObject({ code: 0, stderr: noCredential });
  const events = (await start(env)).process.waitForOutput(/"event":"no_upstream_credential","level":"warn"/);
  await expect(events).resolves.toBeDefined();
  expect(await run(["config", "check"], { ...env, LETTA_API_KEY: "sk-1" })).toMatchObject({ code: 0, stderr: "" });
  expect(await run(["config", "check"])).toMatchObject({ code: 0, stderr: "" });
});
