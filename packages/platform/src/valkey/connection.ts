/**
 * The managed connection to one server: connects, checks the server, disconnects if it has become a replica, and reconnects. Each attempt resolves the
 * name again, because names follow the primary.
 */
import type { Command, Redis } from "iovalkey";
import type { ValkeyAddress, ValkeyOptions } from "../valkey.ts";
import { createAvailability } from "./availability.ts";
import { closedText, isServerError, openClient, redactError } from "./client.ts";
import { createRoleWatch, findServerProblem, isReplicaRefusal, replicaError } from "./server-check.ts";

/** Failures of a connection that ended before the server replied, such as on a TLS port, which takes a command for a broken handshake. */
const cutOff = /ECONNRESET|EPIPE|^Protocol error/;

/** A connection to a server that is checked and kept open. */
export interface ManagedConnection {
  /** Whether a command can be sent now. */
  isUsable(): boolean;
  /** Resolves when a command can be sent. Rejects with a ValkeyError after `waitMs`, and as soon as waiting is pointless. */
  untilUsable(waitMs: number): Promise<void>;
  /** Sends a command on a usable connection. Rejects with the error of the client. */
  send(command: Command): Promise<unknown>;
  /** Disconnects if the error says that the server has become a replica. */
  handleRefusal(failure: unknown): void;
  close(): Promise<void>;
}

/** Opens a connection to a server, and keeps it open. */
export function openConnection(address: ValkeyAddress, { timeoutMs, onFailure }: ValkeyOptions): ManagedConnection {
  const availability = createAvailability(address);
  let isClosed = false;
  let attempts = 0;
  const reports = createOutageReports(address, onFailure);
  const client = openClient(address, { timeoutMs, nextAttempt: () => (attempts += 1) });
  const refusal = watchRefusal(client);
  const roleWatch = createRoleWatch(client, () => disconnect(replicaError()));

  function report(failure: unknown): void {
    if (isClosed) return;
    const cause = reports.explain(redactError(failure, address));
    availability.handleFailure(cause);
    reports.note(cause);
  }

  /** Disconnects and connects again. */
  function disconnect(failure: unknown): void {
    // In any other state, the client has already dropped the connection and may be reconnecting.
    if (isClosed || client.status !== "ready") return;
    report(failure);
    availability.handleLoss();
    client.disconnect(true);
  }

  async function acceptServer(): Promise<void> {
    try {
      const problem = (await findServerProblem(client)) ?? refusal();
      if (problem !== null) throw problem;
      reports.end();
      attempts = 0;
      roleWatch.restart();
      availability.handleConnected();
    } catch (failure) {
      // After a refused login the server also refuses this command, with a less informative text.
      disconnect(refusal() ?? failure);
    }
  }

  client.on("error", report);
  client.on("ready", () => void acceptServer());
  client.on("close", () => {
    // A server that shuts down cleanly closes the connection without an error.
    if (!reports.hasBegun()) report(new Error(closedText));
    if (availability.isUp) availability.handleLoss();
    else availability.handleFailure(null);
  });

  // The peer may have ended the connection, which the client notices a moment later.
  const isUsable = (): boolean => availability.isUp && client.stream.writable;

  return {
    isUsable,
    async untilUsable(waitMs) {
      const startedAt = performance.now();
      while (!isUsable()) {
        if (availability.isUp) disconnect(new Error(closedText));
        // Even if the client has already dropped the connection but has not reported it yet.
        availability.handleLoss();
        await availability.wait(Math.max(0, waitMs - (performance.now() - startedAt)));
      }
    },
    send(command) {
      roleWatch.checkIfDue();
      return Promise.resolve(client.sendCommand(command));
    },
    handleRefusal(failure) {
      if (isReplicaRefusal(failure)) disconnect(replicaError());
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      availability.handleClose();
      const isConnected = ["connecting", "connect", "ready"].includes(client.status);
      const ended = new Promise<void>((resolve) => void client.once("end", resolve));
      client.disconnect();
      if (isConnected) await ended;
    },
  };
}

/** Names the likely reason if a server closes the connection before it has replied to anything. */
function suggestTls(cause: Error): Error {
  if (cause.message !== closedText && !cutOff.test(cause.message)) return cause;
  return new Error("the server closed the connection; a TLS port needs valkeys:");
}

/**
 * Returns a function that returns the server's refusal of the login or the database of the present connection; `null` if there is none.
 * The server may still respond to commands, as its default user or from another database.
 */
function watchRefusal(client: Redis): () => Error | null {
  let refusal: Error | null = null;
  client.on("connect", () => (refusal = null));
  client.on("error", (failure) => {
    if (isServerError(failure)) refusal = failure;
  });
  return () => refusal;
}

/** Reports each distinct reason of an outage once. */
function createOutageReports({ usesTls }: ValkeyAddress, onFailure: (cause: unknown) => void) {
  let reported: string | null = null;
  let hasBeenUsable = false;
  return {
    explain: (cause: Error): Error => (usesTls || hasBeenUsable ? cause : suggestTls(cause)),
    hasBegun: (): boolean => reported !== null,
    note(cause: Error): void {
      if (reported === cause.message) return;
      reported = cause.message;
      onFailure(cause);
    },
    end(): void {
      reported = null;
      hasBeenUsable = true;
    },
  };
}
