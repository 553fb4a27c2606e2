/** The sockets of viewers, opened as a host opens them. */
import type { Principal } from "@letta-environments/schema";
import { createFakeSocket, type FakeSocket } from "./fake-socket.ts";
import { type Harness, toAnswer, toRequest } from "./harness.ts";

/** Opens the socket of a viewer, or returns the code of the refusal. */
export async function openViewer(
  { server }: Pick<Harness, "server">,
  connectionId: string,
  principal: Principal,
  query = "",
): Promise<FakeSocket | string> {
  const request = toRequest("GET", `/v1/environments/${connectionId}/status/ws`, { query });
  const decision = await server.upgrade(request, principal);
  if (decision.kind === "refused") return String(toAnswer(decision.response).body["errorCode"]);
  const socket = createFakeSocket();
  socket.listener = decision.attach(socket);
  return socket;
}

/** Opens the socket of a viewer who may watch the device. */
export async function watchDevice(...parameters: Parameters<typeof openViewer>): Promise<FakeSocket> {
  const socket = await openViewer(...parameters);
  if (typeof socket === "string") throw new Error(`refused: ${socket}`);
  return socket;
}
