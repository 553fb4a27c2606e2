/**
 * Viewers of a simulation: they open the socket of a device, watch, send messages, decide and stop. What a viewer sees is compared with
 * what its key may see, and the responses to its messages with what the device did.
 */
import type { PlainSocketListener } from "@letta-environments/schema";
import type { Random, Trace } from "@letta-environments/testkit";
import type { Pipeline } from "../../../src/pipeline.ts";
import { fakeRequest } from "../../support/fake-request.ts";
import type { SimulatedKey } from "../callers.ts";
import { type Attempt, type Message, saysNothingSent, type Truth } from "../truth.ts";
import type { ConversationCounts } from "./record.ts";

/** A viewer with one socket after the other. */
export interface SimulatedViewer {
  readonly key: SimulatedKey;
  readonly deviceId: string;
  readonly isOpen: boolean;
  open(connectionId: string): Promise<void>;
  send(message: Message): void;
  /** Sends a frame of another type. */
  say(frame: object): void;
  /** The gateway was killed, or the viewer leaves. */
  drop(): void;
}

/** Dependencies of a viewer. */
export interface ViewerOptions {
  readonly key: SimulatedKey;
  readonly deviceId: string;
  readonly random: Random;
  readonly trace: Trace;
  readonly truth: Truth;
  readonly counts: ConversationCounts;
  readonly pipeline: () => Pipeline | null;
}

interface Socket {
  listener: PlainSocketListener | null;
  isOpen: boolean;
  seq: number;
  readonly attempts: Map<string, Attempt>;
}

interface Frame {
  readonly type: string;
  readonly seq?: number;
  readonly request_id?: string;
  readonly accepted?: boolean;
  readonly code?: string;
  readonly runtime?: { readonly agent_id: string | null };
  readonly agent_id?: string | null;
}

/** Creates a viewer without a socket. */
export function createViewer(options: ViewerOptions): SimulatedViewer {
  const { key, deviceId, trace, truth, counts } = options;
  const name = `${key.name} as a viewer of ${deviceId}`;
  let socket: Socket | null = null;
  let isOpening = false;
  let requests = 0;

  function receive(over: Socket, text: string): void {
    if (!over.isOpen) return;
    counts["viewer frames"] += 1;
    const frame = JSON.parse(text) as Frame;
    const { seq, request_id: requestId } = frame;
    if (seq !== undefined && seq !== over.seq + 1) truth.violate(`${name} received frame ${seq} after ${over.seq}`);
    over.seq = seq ?? over.seq;
    const agentId = frame.runtime === undefined ? frame.agent_id : frame.runtime.agent_id;
    const isAnswer = frame.type === "error" || frame.type.endsWith("_response") || frame.type === "input_accepted";
    if (!isAnswer && agentId !== undefined && !key.reaches(deviceId, agentId ?? ""))
      truth.violate(`${name} is shown a frame of ${agentId}, which it may not see`);
    const foreign = [...text.matchAll(/<(\w+)\/(\w+)>/g)].find(([, tenant, device]) => {
      return tenant !== key.tenant || device !== deviceId;
    });
    if (foreign !== undefined) truth.violate(`${name} is shown ${foreign[0]}`);
    if (requestId !== undefined) answered(over, requestId, frame);
  }

  function answered(over: Socket, requestId: string, { type, accepted, code = "input_rejected" }: Frame): void {
    const attempt = over.attempts.get(requestId);
    if (attempt === undefined || (type !== "error" && type !== "input_accepted")) return;
    over.attempts.delete(requestId);
    trace.record(`${name} receives ${type} ${code} for ${attempt.messages.map(({ id }) => id).join(", ")}`);
    if (accepted === true) truth.respond(attempt, { status: 200, code: null, saysNothingSent: false });
    else truth.respond(attempt, { status: 409, code, saysNothingSent: saysNothingSent(code, null) });
  }

  function end(over: Socket): void {
    over.isOpen = false;
    for (const attempt of over.attempts.values()) attempt.state = "lost";
    over.attempts.clear();
    if (socket === over) socket = null;
  }

  async function open(connectionId: string): Promise<void> {
    const pipeline = options.pipeline();
    if (pipeline === null || socket !== null) return;
    const path = `/v1/environments/${connectionId}/status/ws`;
    const decision = await pipeline.upgrade(fakeRequest({ key: key.key, path }));
    if (decision.kind === "refused") return;
    if (options.pipeline() !== pipeline) return;
    if (!key.reaches(deviceId, "agent-1"))
      truth.violate(`${name} may open a socket, although it may not see the device`);
    const opened: Socket = { listener: null, isOpen: true, seq: 0, attempts: new Map() };
    socket = opened;
    opened.listener = decision.attach({
      send: (text) => receive(opened, text),
      close: () => end(opened),
      terminate: () => end(opened),
    });
    trace.record(`${name} is connected`);
  }

  const say = (frame: object): void => socket?.listener?.onMessage(JSON.stringify(frame));

  return {
    key,
    deviceId,
    get isOpen() {
      return socket !== null;
    },
    async open(connectionId) {
      if (isOpening) return;
      isOpening = true;
      // An upgrade that the gateway's end interrupts never returns.
      const pipeline = options.pipeline();
      void open(connectionId).finally(() => (isOpening = false));
      if (pipeline === null) isOpening = false;
    },
    send(message) {
      if (socket === null) return;
      const requestId = `view-${(requests += 1)}`;
      const { agentId, conversationId, id, text } = message;
      const isPermitted = key.maySend(deviceId, agentId);
      const attempt: Attempt = { messages: [message], isPermitted, state: "in_flight" };
      truth.begin(attempt);
      socket.attempts.set(requestId, attempt);
      trace.record(`${name} sends ${id}`);
      const messages = [{ role: "user", content: text, client_message_id: id }];
      const runtime = { agent_id: agentId, conversation_id: conversationId };
      say({ type: "input", request_id: requestId, runtime, payload: { kind: "create_message", messages } });
    },
    say,
    drop() {
      isOpening = false;
      if (socket === null) return;
      const { listener } = socket;
      end(socket);
      listener?.onClose(1006);
    },
  };
}
