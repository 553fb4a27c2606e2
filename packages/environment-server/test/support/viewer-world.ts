/** The hub of viewers with devices and requests that a test controls. */
import { jsonResponse, type PlainResponse, type Principal, problemResponse, refused } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import type { Conversation } from "../../src/dialects/conversation.ts";
import type { ApiCall } from "../../src/viewers/api-calls.ts";
import { createViewerHub } from "../../src/viewers/hub.ts";
import type { CommandFacts, ViewerAccess } from "../../src/viewers/ports.ts";
import { createFakeSocket, type FakeSocket } from "./fake-socket.ts";
import { anyone, createCountingId } from "./harness.ts";

const everyScope = ["view", "send", "approve", "control", "files", "terminal", "manage"] as const;
/** A key with every scope that frames need. */
export const operator: Principal = { ...anyone, scopes: new Set(everyScope) };
/** The conversation of most frames. */
export const runtime = { agent_id: "agent-1", conversation_id: "c" };

/** See the description of this file. */
export interface ViewerWorld {
  readonly clock: ReturnType<typeof createVirtualClock>;
  readonly hub: ReturnType<typeof createViewerHub>;
  /** The frames that reached the device. */
  readonly device: Record<string, unknown>[];
  readonly calls: ApiCall[];
  readonly admitted: CommandFacts[];
  readonly refused: (readonly [CommandFacts, string])[];
  respond: (call: ApiCall) => Promise<PlainResponse>;
  admit: (command: CommandFacts) => Promise<PlainResponse | null>;
  refuseConversation: (runtime: Conversation) => Promise<PlainResponse | null>;
  isOnline: boolean;
  open(access?: Partial<ViewerAccess>): FakeSocket;
  /** A frame of the device. */
  say(frame: object | string, environmentId?: string): void;
  /** The device sends a text that is too long, so that only its start is read. */
  sayLong(start: string): void;
  settle(): Promise<void>;
}

/** Creates a {@link ViewerWorld}. */
export function createViewerWorld(): ViewerWorld {
  const clock = createVirtualClock();
  const hub = createViewerHub({ clock, randomId: createCountingId(), emit: () => undefined });
  const world: ViewerWorld = {
    clock,
    hub,
    device: [],
    calls: [],
    admitted: [],
    refused: [],
    respond: () => Promise.resolve(jsonResponse(200, { success: true, disposition: "started" })),
    admit: () => Promise.resolve(null),
    refuseConversation: () => Promise.resolve(null),
    isOnline: true,
    open(access = {}) {
      const socket = createFakeSocket();
      socket.listener = hub.open(
        {
          principal: operator,
          environmentId: "env-1",
          connectionId: "conn-1",
          deviceId: "device-1",
          connectionName: "name",
          isPermitted: null,
          agentId: null,
          conversationId: null,
          requests: {
            perform(call) {
              world.calls.push(call);
              return world.respond(call);
            },
            admit(command) {
              world.admitted.push(command);
              return world.admit(command);
            },
            refused: (command, code) => void world.refused.push([command, code]),
          },
          findDevice: () =>
            Promise.resolve(
              world.isOnline
                ? {
                    kind: "open",
                    refuseConversation: (runtime) => world.refuseConversation(runtime),
                    write: (text) => (world.device.push(JSON.parse(text)) > 0 ? "written" : "unsent"),
                  }
                : refused(problemResponse("device_offline")),
            ),
          writeUnchecked: (text) => void world.device.push(JSON.parse(text)),
          ...access,
        },
        socket,
      );
      return socket;
    },
    say: (frame, environmentId = "env-1") =>
      hub.received(environmentId, typeof frame === "string" ? frame : JSON.stringify(frame)),
    sayLong: (start) => hub.receivedLong("env-1", start),
    settle: () => clock.advance(0),
  };
  return world;
}
