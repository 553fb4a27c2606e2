/**
 * Loaded into a server under test before its own code, so that any program can be measured as it is: tells the parent on which
 * port the process listens and, when asked, how much CPU time it has used.
 */
import { subscribe } from "node:diagnostics_channel";
import type { Server } from "node:net";
import process from "node:process";

subscribe("tracing:net.server.listen:asyncEnd", (message) => {
  const address = (message as { readonly server: Server }).server.address();
  if (typeof address === "object") process.send?.({ port: address?.port });
});
process.on("message", (question) => {
  if (question === "usage") process.send?.(process.cpuUsage());
});
process.on("disconnect", () => process.exit());
// The channel is no reason to stay: the server decides when the process ends.
process.channel?.unref();
