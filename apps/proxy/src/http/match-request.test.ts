import { describe, expect, test } from "vitest";
import { matchRequest } from "./validate-request.ts";

function outcome(method: string, path: string, servesDevices: boolean): string | number {
  const match = matchRequest(method, path, servesDevices);
  return match.kind === "matched" ? match.endpoint.operation : match.response.status;
}

describe("where no devices are served", () => {
  test.each(["GET", "POST", "PUT"])("%s of the registration does not exist, whatever the method", (method) => {
    expect(outcome(method, "/v1/environments/register", false)).toBe(404);
  });

  test("nor does a device's socket", () => {
    expect(outcome("GET", "/v1/environments/conn-1/socket", false)).toBe(404);
    expect(outcome("POST", "/v1/environments/conn-1/socket", false)).toBe(404);
  });

  test("the endpoints of callers do", () => {
    expect(outcome("GET", "/v1/environments/device-1", false)).toBe("retrieveEnvironment");
    expect(outcome("PUT", "/v1/environments", false)).toBe(405);
  });
});

describe("where devices are served", () => {
  test("the registration takes POST, also behind a base URL that ends in a slash", () => {
    expect(outcome("POST", "/v1/environments/register", true)).toBe("registerEnvironment");
    expect(outcome("POST", "//v1/environments/register", true)).toBe("registerEnvironment");
    expect(outcome("GET", "/v1/environments/register", true)).toBe(405);
  });

  test("no other path has a second name with two slashes", () => {
    expect(outcome("GET", "//v1/environments", true)).toBe(404);
    expect(outcome("GET", "//v1/environments/device-1", true)).toBe(404);
  });
});
