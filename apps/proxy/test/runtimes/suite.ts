/** The application suite, which tests the built gateway on every runtime. */
import { describe, vi } from "vitest";
import type { RuntimeLauncher } from "./launcher.ts";
import { recordResults } from "./record-results.ts";
import { describeAuthentication } from "./sections/authentication.ts";
import { describeBodies } from "./sections/bodies.ts";
import { describeCaching } from "./sections/caching.ts";
import { describeControl } from "./sections/control.ts";
import { describeDeviceSockets } from "./sections/device-sockets.ts";
import { describeErrors } from "./sections/errors.ts";
import { describeEvents, observeUnreadReader } from "./sections/events.ts";
import { describeHostileRequests } from "./sections/hostile.ts";
import { describeLimits, fewRequests } from "./sections/limits.ts";
import { describeManagement } from "./sections/management.ts";
import { describeRealDevice } from "./sections/real-device.ts";
import { describeSending } from "./sections/sending.ts";
import {
  describeHalfClosedCallers,
  describeRefusedBodies,
  describeSlowCallers,
  sendIncompleteHeads,
} from "./sections/slow-callers.ts";
import { describeStopping } from "./sections/stopping.ts";
import { describeViewers } from "./sections/viewers.ts";
import { describeWeakKeys } from "./sections/weak-keys.ts";
import { describeWebPages, listedOrigin } from "./sections/web-pages.ts";
import { beginWithSuite, type GatewayUnderTest, useGateway } from "./use-gateway.ts";

/**
 * Declares the sections of the three endpoints, which hold for every gateway.
 *
 * @param describeMore declares further sections for the gateway in front of another server
 */
export function describeThreeEndpoints(
  launcher: RuntimeLauncher,
  describeMore: (gateway: GatewayUnderTest) => void = () => undefined,
): void {
  describe("with a remote upstream", () => {
    const gateway = useGateway(launcher, { cors: { origins: [listedOrigin] } });
    describe("authentication and scopes", () => {
      describeAuthentication(gateway);
      describeWeakKeys(launcher);
    });
    describe("sends", () => {
      describeSending(launcher, gateway);
    });
    describe("cache", () => {
      describeCaching(gateway);
    });
    describe("errors, health, request ids", () => {
      describeErrors(launcher, gateway);
    });
    describe("web pages (CORS)", () => {
      describeWebPages(gateway);
    });
    describe("bodies", () => {
      describeBodies(launcher, gateway);
    });
    describeMore(gateway);
  });

  describe("with limits", () => {
    const gateway = useGateway(launcher, fewRequests);
    describe("rate limits", () => {
      describeLimits(gateway);
    });
  });
}

/** Declares the sections of a gateway whose devices connect to it, without those of the extensions. */
export function describeDevices(launcher: RuntimeLauncher): void {
  describe("the real device", () => {
    describeRealDevice(launcher);
  });
  describe("device sockets", () => {
    describeDeviceSockets(launcher);
  });
}

/** Declares the suite for one runtime. Its titles are the rows of the table in docs/runtimes.md. */
export function describeRuntime(launcher: RuntimeLauncher): void {
  // Processes start slowly on a busy machine.
  vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
  recordResults(launcher);

  describeThreeEndpoints(launcher, (gateway) => {
    describe("control", () => {
      describeControl(launcher, gateway);
    });
    describe("management of devices", () => {
      describeManagement(launcher, gateway);
    });
    describe("hostile requests", () => {
      describeHostileRequests(launcher, gateway);
    });
  });
}

/** Declares the tests for runtimes on which the gateway is a process with its own listener and an embedded environment server. Call it after {@link describeRuntime}. */
export function describeEmbeddedServer(launcher: RuntimeLauncher): void {
  const incompleteHeads = beginWithSuite(launcher, sendIncompleteHeads);
  const unreadReader = beginWithSuite(launcher, observeUnreadReader);

  describe("as a process", () => {
    const gateway = useGateway(launcher);
    describe("slow callers", () => {
      describeSlowCallers(launcher, incompleteHeads);
      describeHalfClosedCallers(launcher, gateway);
      describeRefusedBodies(gateway);
    });
    describe("stopping", () => {
      describeStopping(launcher);
    });
  });

  describe("with the embedded environment server", () => {
    describeDevices(launcher);
    describe("streams of events", () => {
      describeEvents(launcher, unreadReader);
    });
    describe("viewer sockets", () => {
      describeViewers(launcher);
    });
  });
}
