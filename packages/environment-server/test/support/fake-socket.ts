import type { PlainSocket, PlainSocketListener } from "@letta-environments/schema";

type Frame = Record<string, unknown>;

/** An `input` frame as a device receives it. */
export interface InputFrame {
  readonly type: "input";
  readonly request_id: string;
  readonly runtime: { readonly agent_id: string | null; readonly conversation_id: string };
  readonly payload: {
    readonly kind: string;
    /** Of `create_message`. */
    readonly messages: readonly { readonly client_message_id: string }[];
  };
}

/** The device's end of a socket. It records what the server does and sends frames for the device. */
export interface FakeSocket extends PlainSocket {
  readonly frames: readonly Frame[];
  readonly closes: readonly { readonly code: number; readonly reason: string }[];
  readonly terminated: boolean;
  /** Called for each frame as it is written. */
  onFrame: (frame: Frame) => void;
  /** Set when the socket is attached. */
  listener: PlainSocketListener;
  inputs(): InputFrame[];
  say(frame: unknown): void;
  /** Asks for permission, in the agent's default conversation, as devices since 0.30 do. */
  ask(toolCallId: string, request?: Record<string, unknown>, agentId?: string): void;
  /** Acknowledges an input, by default the last one. */
  acknowledge(answer?: Record<string, unknown>, requestId?: string): void;
}

/** Creates a socket that is not attached yet. */
export function createFakeSocket(): FakeSocket {
  const frames: Frame[] = [];
  const closes: { code: number; reason: string }[] = [];
  const unattached = (): never => {
    throw new Error("the socket is not attached");
  };
  const socket: FakeSocket & { terminated: boolean } = {
    frames,
    closes,
    terminated: false,
    onFrame: () => undefined,
    listener: {
      maxFrameBytes: 0,
      maxTextBytes: 0,
      onMessage: unattached,
      onOtherFrame: unattached,
      onClose: unattached,
    },
    send(text) {
      const frame: Frame = JSON.parse(text);
      frames.push(frame);
      socket.onFrame(frame);
    },
    close: (code, reason) => void closes.push({ code, reason }),
    terminate() {
      socket.terminated = true;
    },
    inputs: () => frames.filter((frame: unknown): frame is Frame & InputFrame => isInput(frame)),
    say: (frame) => socket.listener.onMessage(typeof frame === "string" ? frame : JSON.stringify(frame)),
    ask(toolCallId, request = {}, agentId = "agent-1") {
      socket.say({
        type: "control_request",
        request_id: `perm-${toolCallId}`,
        request: { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: toolCallId, ...request },
        runtime: { agent_id: agentId, conversation_id: "default" },
      });
    },
    acknowledge(answer = { accepted: true, disposition: "started" }, requestId = socket.inputs().at(-1)?.request_id) {
      socket.say({ type: "input_accepted", request_id: requestId, ...answer });
    },
  };
  return socket;
}

function isInput(frame: unknown): frame is InputFrame {
  return typeof frame === "object" && frame !== null && "type" in frame && frame.type === "input";
}
