import { expect, test } from "vitest";
import { denoCommand, firstStartText, laterStartText, programsIn } from "./next-steps.ts";

const secrets = { clientKey: "lek_client", deviceKey: "lek_device", link: "lek_link" };
const url = "http://127.0.0.1:9000";
const commandsIn = (text: string): readonly string[] =>
  text.split("\n").flatMap((line) => (line.startsWith("  ") ? [line.trim()] : []));
const folder = (...files: readonly string[]) => programsIn((path) => files.includes(path), ["node", "node.js"]);

test("a clone runs the scripts of the repository, with its demo device", () => {
  const programs = folder("scripts/device.mjs", "scripts/letta-env.mjs", "node_modules/.bin/letta-proxy");
  const text = firstStartText({ url, dataDir: ".data", console: "served", programs }, secrets);
  expect(commandsIn(text).slice(2)).toEqual([
    `LETTA_BASE_URL=${url} LETTA_API_KEY=lek_device node scripts/device.mjs`,
    `LETTA_BASE_URL=${url} LETTA_API_KEY=lek_client node scripts/letta-env.mjs list`,
    `LETTA_BASE_URL=${url} LETTA_API_KEY=lek_client node scripts/letta-env.mjs send demo --agent agent-local-demo "ping"`,
    `${url}/console/#link=lek_link`,
  ]);
});

test("a folder with the installed packages runs them, and names no file of the repository", () => {
  const programs = folder("node_modules/.bin/letta-proxy", "node_modules/.bin/letta-env");
  const gateway = { url, dataDir: "my data", console: "not_built", programs } as const;
  expect(commandsIn(firstStartText(gateway, secrets)).slice(2, 4)).toEqual([
    `npx letta-proxy devices invite --name NAME --gateway ${url} --data-dir 'my data'`,
    `LETTA_BASE_URL=${url} LETTA_API_KEY=lek_client npx letta-env list`,
  ]);
  const text = firstStartText(gateway, secrets) + laterStartText(gateway);
  expect(text).not.toMatch(/scripts\/|pnpm/);
});

test("a copied bundle runs as it was started, and npx does not look up its name in the registry", () => {
  const gateway = { url, dataDir: ".data", console: "off", programs: folder() } as const;
  expect(commandsIn(firstStartText(gateway, { ...secrets, link: null })).slice(2)).toEqual([
    `node node.js devices invite --name NAME --gateway ${url}`,
    `curl -H "Authorization: Bearer lek_client" ${url}/v1/environments`,
  ]);
  expect(commandsIn(laterStartText(gateway))).toEqual([
    "node node.js keys list",
    "node node.js keys create --name NAME --scope list --scope read --scope send",
  ]);
});

test("the printed commands have the permissions that they need on Deno, even for a data directory elsewhere", () => {
  const before = "deno run --no-prompt --allow-net --allow-env --allow-sys";
  for (const [dataDir, folders] of [
    [".data", "."],
    ["/var/lib/data", ".,/var/lib/data"],
    ["../data", ".,../data"],
  ] as const) {
    expect(denoCommand("deno.js", dataDir).join(" ")).toBe(
      `${before} --allow-read=${folders} --allow-write=${folders} deno.js`,
    );
  }
  const programs = programsIn(() => false, denoCommand("deno.js", ".data"));
  const gateway = { url, dataDir: ".data", console: "off", programs } as const;
  expect(commandsIn(laterStartText(gateway))[0]).toBe(`${before} --allow-read=. --allow-write=. deno.js keys list`);
});

test("a later start prints a command whose link leads to the gateway that runs, whatever its port", () => {
  const gateway = { url, dataDir: "my data", console: "served", programs: folder() } as const;
  expect(commandsIn(laterStartText(gateway)).at(-1)).toBe(
    `node node.js console link --gateway ${url} --data-dir 'my data'`,
  );
});

test("an IPv6 address is quoted in every command, because brackets are a pattern in zsh", () => {
  const gateway = { url: "http://[::1]:9000", dataDir: ".data", console: "served", programs: folder() } as const;
  const commands = commandsIn(firstStartText(gateway, { ...secrets, link: null }) + laterStartText(gateway));
  expect(commands.filter((command) => command.includes("[::1]"))).toEqual([
    "node node.js devices invite --name NAME --gateway 'http://[::1]:9000'",
    `curl -H "Authorization: Bearer lek_client" 'http://[::1]:9000/v1/environments'`,
    "node node.js console link --gateway 'http://[::1]:9000'",
  ]);
});

test("a gateway with a remote upstream prints no commands for devices", () => {
  const gateway = { url, dataDir: ".data", console: "off", programs: folder() } as const;
  const text = firstStartText(gateway, { clientKey: "lek_client", deviceKey: null, link: null });
  expect(text).not.toMatch(/for devices|connects a device/);
});
