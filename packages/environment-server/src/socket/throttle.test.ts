import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createDeviceThrottle, increasePenalty, type Penalty, type ThrottledDevice } from "./throttle.ts";

const device: ThrottledDevice = { tenant: "acme", keyId: "key-1", deviceId: "device-1", listenerInstanceId: "default" };

test("each violation doubles the delay, from one second up to five minutes", () => {
  let penalty: Penalty | undefined;
  const delays: number[] = [];
  for (let violation = 0; violation < 11; violation++) {
    penalty = increasePenalty(penalty, 0, 0);
    delays.push(penalty.untilMs / 1_000);
  }
  expect(delays).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
});

test("violations are forgotten ten minutes after the refusal has ended", () => {
  const first = increasePenalty(undefined, 0, 0);
  expect(increasePenalty(first, 0, 600_999).violations).toBe(2);
  expect(increasePenalty(first, 0, 601_000)).toEqual({ violations: 1, untilMs: 602_000 });
});

test("a device that keeps violating limits is refused, and the other devices of its key are not", () => {
  const throttle = createDeviceThrottle(createVirtualClock());
  for (let violation = 0; violation < 20; violation++) throttle.recordViolation(device, "limit");
  expect(throttle.remainingMs(device)).toBe(300_000);
  expect(throttle.remainingMs({ ...device, listenerInstanceId: "second" })).toBe(0);
  expect(throttle.remainingMs({ ...device, deviceId: "device-2" })).toBe(0);
  expect(throttle.remainingMs({ ...device, tenant: "other" })).toBe(0);
});

test("a key whose devices change names to evade the limit is refused completely, and other keys are not", () => {
  const throttle = createDeviceThrottle(createVirtualClock());
  for (let index = 0; index < 3; index++) throttle.recordViolation({ ...device, deviceId: `device-${index}` }, "limit");
  expect(throttle.remainingMs({ ...device, deviceId: "new" })).toBe(0);
  throttle.recordViolation({ ...device, deviceId: "device-3" }, "limit");
  throttle.recordViolation({ ...device, deviceId: "device-4" }, "limit");
  expect(throttle.remainingMs({ ...device, deviceId: "new" })).toBe(2_000);
  expect(throttle.remainingMs({ ...device, keyId: "key-2", deviceId: "new" })).toBe(0);
});

test("the first violation of a rate by a device has no consequence; the second counts for the device and once for its key", () => {
  const throttle = createDeviceThrottle(createVirtualClock());
  const flood = (deviceId: string): void => throttle.recordViolation({ ...device, deviceId }, "rate");
  const delays = (): readonly number[] =>
    ["device-0", "new"].map((deviceId) => throttle.remainingMs({ ...device, deviceId }));
  for (let index = 0; index < 10; index++) flood(`device-${index}`);
  expect(delays()).toEqual([0, 0]);
  for (let index = 0; index < 3; index++) flood(`device-${index}`);
  expect(delays()).toEqual([1_000, 0]);
  flood("device-0");
  expect(delays()).toEqual([2_000, 0]);
  flood("device-3");
  expect(delays()).toEqual([2_000, 1_000]);
});

test("when the rate of a key is exceeded, the violation of each busiest device counts for the key", () => {
  const throttle = createDeviceThrottle(createVirtualClock());
  for (let index = 0; index < 4; index++)
    throttle.recordViolation({ ...device, deviceId: `device-${index}` }, "key_rate");
  expect(throttle.remainingMs({ ...device, deviceId: "new" })).toBe(1_000);
});

test("at most 10,000 subjects are remembered", async () => {
  const clock = createVirtualClock();
  const throttle = createDeviceThrottle(clock);
  for (let index = 0; index < 10_001; index++) {
    throttle.recordViolation({ ...device, keyId: `key-${index}`, deviceId: `device-${index}` }, "limit");
  }
  expect(throttle.remainingMs({ ...device, deviceId: "device-0" })).toBe(0);
  expect(throttle.remainingMs({ ...device, deviceId: "device-10000" })).toBe(1_000);
});
