/**
 * The application suite of the three endpoints, against a gateway that has none of the extensions: their files are not even loaded. It
 * protects the three endpoints from depending on them.
 */
import { join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { createServerLauncher } from "./server-launcher.ts";
import { describeDevices, describeThreeEndpoints } from "./suite.ts";

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const preload = pathToFileURL(join(import.meta.dirname, "without-extensions.mjs")).href;
const program = resolve(import.meta.dirname, "../../src/runtimes/node.ts");
const launcher = createServerLauncher("node", [
  process.execPath,
  "--disable-warning=ExperimentalWarning",
  "--import",
  preload,
  program,
]);

/** A request for each extension. */
const extensionRequests = [
  ["GET", "/v1/environments/conn-1/messages"],
  ["GET", "/v1/environments/conn-1/messages/m-1"],
  ["GET", "/v1/environments/approvals"],
  ["GET", "/v1/environments/events"],
  ["POST", "/v1/environments/conn-1/stop"],
  ["POST", "/v1/environments/conn-1/status/tickets"],
  ["PATCH", "/v1/environments/device-1"],
  ["DELETE", "/v1/environments/device-1"],
] as const;

describe("without extensions", () => {
  describeThreeEndpoints(launcher, (gateway) => {
    test.each(extensionRequests)("the extension %s %s does not exist", async (method, path) => {
      const key = await gateway.keyFor("read", "send", "control", "view", "approve", "admin");
      const body = method === "GET" || method === "DELETE" ? {} : { body: {} };
      const answer = await gateway.ask(path, { method, key, ...body });
      expect([answer.status, answer.json["errorCode"]]).toEqual([404, "endpoint_not_found"]);
    });
  });

  describe("with the embedded environment server", () => {
    describeDevices(launcher);
  });
});
