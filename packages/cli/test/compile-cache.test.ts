import { chmod, mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "./support/run-cli.ts";

let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "letta-env-home-"));
});

afterAll(() => rm(home, { recursive: true, force: true }));

test("compiled code is kept in a folder that only the user can access", async () => {
  const { code } = await runCli(["--version"], { env: { HOME: home, NODE_COMPILE_CACHE: "" } });
  const folder = join(home, ".cache", "letta-env");
  expect(code).toBe(0);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect((await readdir(folder, { recursive: true })).length).toBeGreaterThan(10);
});

test("an existing folder that others can access is not used for compiled code", async () => {
  const folder = join(home, "shared", "letta-env");
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o777);
  const env = { HOME: home, XDG_CACHE_HOME: join(home, "shared"), NODE_COMPILE_CACHE: "" };
  expect((await runCli(["--version"], { env })).code).toBe(0);
  expect(await readdir(folder)).toEqual([]);
});

test.each(["/proc", "/proc/none", "/dev/null"])(
  "without a place for compiled code, such as below %s, commands work",
  async (place) => {
    const { code, stderr } = await runCli(["--version"], { env: { HOME: place, NODE_COMPILE_CACHE: "" } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  },
);
