import { openSocket, parseResponse } from "../support/raw-http.ts";
import type { HostileAnswer, HostileRequest } from "./hostile-requests.ts";
import { knownDifferences } from "./known-differences.ts";
import type { RuntimeLauncher } from "./launcher.ts";

/** Returns the expected response of a runtime to a hostile request: that of all runtimes, or a known difference. */
export function expectedAnswer({ name }: RuntimeLauncher, request: HostileRequest): HostileAnswer {
  const difference = knownDifferences.find((known) => known.request === request.name && known.runtimes.includes(name));
  return difference?.answer ?? request.answer;
}

/** Sends bytes and reads the response until the connection closes. Rejects if it is still open after the time. */
export async function answerTo(
  url: string,
  bytes: string,
  patienceMs: number,
): Promise<{ readonly status: number | "closed"; readonly isProblem: boolean; readonly isFollowed: boolean }> {
  const socket = await openSocket(url);
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
  socket.on("error", () => undefined);
  socket.write(bytes, "latin1");
  let isSilent = false;
  const silent = setTimeout(() => {
    isSilent = true;
    socket.destroy();
  }, patienceMs);
  // Not `once` of node:events: it rejects when the gateway resets the connection behind its response.
  await new Promise((resolve) => socket.once("close", resolve));
  clearTimeout(silent);
  if (isSilent) throw new Error(`The connection was still open after ${patienceMs} ms.`);
  if (text === "") return { status: "closed", isProblem: false, isFollowed: false };
  const { status, headers } = parseResponse(text);
  return {
    status,
    isProblem: headers["content-type"] === "application/problem+json" && "x-request-id" in headers,
    isFollowed: text.lastIndexOf("HTTP/1.1 ") > 0,
  };
}
