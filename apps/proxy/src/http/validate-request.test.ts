import { describe, expect, test } from "vitest";
import { matchRequest } from "./validate-request.ts";

function outcome(method: string, path: string, servesDevices: boolean): string | number {
  const match = matchRequest(method, path, { devices: servesDevices, extensions: servesDevices || "not_on_workers" });
  return match.kind === "matched" ? match.endpoint.operation : match.response.status;
}

describe("a gateway without devices", () => {
  test.each(["GET", "POST", "PUT"])("without device endpoints, %s of the registration is 404", (method) => {
    expect(outcome(method, "/v1/environments/register", false)).toBe(404);
  });

  test("without device endpoints, the path of a device socket does not exist", () => {
    expect(outcome("GET", "/v1/environments/conn-1/socket", false)).toBe(404);
    expect(outcome("POST", "/v1/environments/conn-1/socket", false)).toBe(404);
  });

  test("without device endpoints, the endpoints of clients exist", () => {
    expect(outcome("GET", "/v1/environments/device-1", false)).toBe("retrieveEnvironment");
    expect(outcome("PUT", "/v1/environments", false)).toBe(405);
  });
});

describe("a gateway with devices", () => {
  test("the registration accepts POST, also with a doubled slash from a base URL that ends in a slash", () => {
    expect(outcome("POST", "/v1/environments/register", true)).toBe("registerEnvironment");
    expect(outcome("POST", "//v1/environments/register", true)).toBe("registerEnvironment");
    expect(outcome("GET", "/v1/environments/register", true)).toBe(405);
  });

  test("no other path may start with two slashes", () => {
    expect(outcome("GET", "//v1/environments", true)).toBe(404);
    expect(outcome("GET", "//v1/environments/device-1", true)).toBe(404);
  });
});

test("a gateway without extensions responds to them with 404 and the reason, and serves the API of the vendor", () => {
  const serves = { devices: false, extensions: "not_on_workers" } as const;
  for (const [method, path] of [
    ["POST", "stop"],
    ["POST", "mode"],
    ["POST", "directory"],
    ["POST", "queue/resume"],
    ["GET", "messages"],
    ["GET", "messages/m-1"],
  ] as const) {
    const match = matchRequest(method, `/v1/environments/conn-1/${path}`, serves);
    expect(match).toMatchObject({ kind: "refused", response: { status: 404 } });
    expect(match.kind === "refused" && String(match.response.body)).toContain("Cloudflare Workers");
    expect(matchRequest(method, `/v1/environments/conn-1/${path}`, { ...serves, extensions: true }).kind).toBe(
      "matched",
    );
  }
  expect(matchRequest("POST", "/v1/environments/conn-1/messages", serves).kind).toBe("matched");
});
