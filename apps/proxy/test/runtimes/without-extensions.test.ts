/**
 * The application suite of the three endpoints, against a gateway that has none of the extensions: their files are not even loaded. It
 * protects the three endpoints from depending on them.
 */
import { join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { useGateway } from "./use-gateway.ts";
import { describeAuthentication } from "./sections/authentication.ts";
import { describeBodies } from "./sections/bodies.ts";
import { describeCaching } from "./sections/caching.ts";
import { describeDeviceSockets } from "./sections/device-sockets.ts";
import { describeErrors } from "./sections/errors.ts";
import { describeLimits, fewRequests } from "./sections/limits.ts";
import { describeRealDevice } from "./sections/real-device.ts";
import { describeSending } from "./sections/sending.ts";
import { describeWebPages, listedOrigin } from "./sections/web-pages.ts";
import { createServerLauncher } from "./server-launcher.ts";

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const preload = pathToFileURL(join(import.meta.dirname, "without-extensions.mjs")).href;
const program = resolve(import.meta.dirname, "../../src/runtimes/node.ts");
const launcher = createServerLauncher("node", () => [
  process.execPath,
  "--disable-warning=ExperimentalWarning",
  "--import",
  preload,
  program,
]);

/** A request for each extension. */
const extensionRequests = [
  ["GET", "/v1/environments/conn-1/messages/m-1"],
  ["GET", "/v1/environments/approvals"],
  ["GET", "/v1/environments/events"],
  ["POST", "/v1/environments/conn-1/stop"],
  ["POST", "/v1/environments/conn-1/status/tickets"],
  ["PATCH", "/v1/environments/device-1"],
  ["DELETE", "/v1/environments/device-1"],
] as const;

describe("in front of another server, without extensions", () => {
  const gateway = useGateway(launcher, { cors: { origins: [listedOrigin] } });
  describe("authentication and scopes", () => {
    describeAuthentication(gateway);
  });
  describe("sends", () => {
    describeSending(gateway);
  });
  describe("cache", () => {
    describeCaching(gateway);
  });
  describe("errors, health, request ids", () => {
    describeErrors(gateway);
  });
  describe("web pages (CORS)", () => {
    describeWebPages(gateway);
  });
  describe("bodies", () => {
    describeBodies(gateway);
  });

  test.each(extensionRequests)("%s %s does not exist", async (method, path) => {
    const key = await gateway.keyFor("read", "send", "control", "view", "approve", "admin");
    const body = method === "GET" || method === "DELETE" ? {} : { body: {} };
    const answer = await gateway.ask(path, { method, key, ...body });
    expect([answer.status, answer.json["errorCode"]]).toEqual([404, "endpoint_not_found"]);
  });
});

describe("with limits, without extensions", () => {
  describeLimits(useGateway(launcher, fewRequests));
});

describe("with the environment server inside, without extensions", () => {
  describe("the real device", () => {
    describeRealDevice(launcher);
  });
  describe("device sockets", () => {
    describeDeviceSockets(launcher);
  });
});
