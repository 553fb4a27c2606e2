/** Frames of a scripted device about a conversation, numbered like those of Letta Code. */
import type { Frame, ScriptedDevice } from "@letta-environments/testkit";

const runtime = { agent_id: "agent-1", conversation_id: "default" };
let sequence = 0;

/** Sends a frame about a conversation of the agent `agent-1` or another one. */
export function emit(device: ScriptedDevice, frame: Frame, agentId = runtime.agent_id): void {
  const as = { ...runtime, agent_id: agentId };
  sequence += 1;
  const number = { event_seq: sequence, idempotency_key: `frame-${sequence}`, emitted_at: new Date(0).toISOString() };
  device.send({ ...frame, runtime: as, ...as, ...number });
}
