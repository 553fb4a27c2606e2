import { readRecording, type Recording } from "@letta-environments/testkit";
import type { FakeSocket } from "./fake-socket.ts";
import type { Harness } from "./harness.ts";

/** A device that repeats a recording: after each input of a caller, what the recorded device sent. */
export interface ReplayedDevice {
  readonly connectionId: string;
  readonly socket: FakeSocket;
  /** Sends the frames from the device up to the next one to it. Request ids and message ids are those of the present inputs. */
  replay(): void;
}

/** Registers a device as the recorded one did, and opens its socket. Its agent and conversation are those of {@link replayedScope}. */
export async function connectReplayed(
  harness: Harness,
  name: Parameters<typeof readRecording>[0],
): Promise<ReplayedDevice> {
  const recording = readRecording(name);
  const connectionId = await harness.register("device-recorded", { body: recording.registration });
  const socket = await harness.open(connectionId);
  return { connectionId, socket, replay: createReplay(recording, socket) };
}

/** The conversation of every recording. */
export const replayedScope = { agentId: "agent-local-demo", conversationId: "default" };

function createReplay({ frames }: Recording, socket: FakeSocket): () => void {
  const requestIds = new Map<string, string>();
  let position = 0;
  return () => {
    const sent = socket.inputs();
    for (; position < frames.length; position += 1) {
      const frame = frames[position];
      if (frame === undefined || !("toDevice" in frame)) break;
      // The recorded request gets the id of the present one at the same place.
      const actual = sent[requestIds.size]?.request_id;
      if (frame.toDevice.type === "input" && actual !== undefined) {
        requestIds.set(String(frame.toDevice["request_id"]), actual);
      }
    }
    for (; position < frames.length; position += 1) {
      const frame = frames[position];
      if (frame === undefined || !("fromDevice" in frame)) break;
      const requestId = requestIds.get(String(frame.fromDevice["request_id"]));
      socket.say(requestId === undefined ? frame.fromDevice : { ...frame.fromDevice, request_id: requestId });
    }
  };
}
