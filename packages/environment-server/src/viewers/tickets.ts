/**
 * Tickets: single-use credentials for the socket of a viewer, because a browser cannot send a header with a WebSocket and a key
 * does not belong in a URL. A ticket represents the principal that requested it and opens one socket of one connection.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import { type Principal, ticketPrefix } from "@letta-environments/schema";
import { maxTickets, maxTicketsPerKey, ticketLifetimeMs } from "../limits.ts";

/** The tickets that were issued and are not redeemed yet. */
export interface ViewerTickets {
  /** Creates a ticket; `null` when the key has too many unused ones. */
  issue(principal: Principal, connectionId: string): string | null;
  /** Returns the principal of a ticket for this connection, once; `null` for any other text and after 60 seconds. */
  redeem(ticket: string, connectionId: string): Principal | null;
}

interface Ticket {
  readonly principal: Principal;
  readonly connectionId: string;
  readonly expiresAtMs: number;
}

/** Creates {@link ViewerTickets}. They are in memory: a restart ends them. */
export function createViewerTickets(clock: Pick<Clock, "monotonic">, randomId: RandomId): ViewerTickets {
  // In the order of their creation, and so of their expiry.
  const tickets = new Map<string, Ticket>();

  function forgetExpired(): void {
    const nowMs = clock.monotonic();
    for (const [ticket, { expiresAtMs }] of tickets) {
      if (expiresAtMs > nowMs) return;
      tickets.delete(ticket);
    }
  }

  return {
    issue(principal, connectionId) {
      forgetExpired();
      const { tenant, keyId } = principal;
      const own = [...tickets.values()].filter(
        ({ principal: owner }) => owner.tenant === tenant && owner.keyId === keyId,
      );
      if (own.length >= maxTicketsPerKey || tickets.size >= maxTickets) return null;
      const ticket = randomId(ticketPrefix);
      tickets.set(ticket, { principal, connectionId, expiresAtMs: clock.monotonic() + ticketLifetimeMs });
      return ticket;
    },
    redeem(ticket, connectionId) {
      forgetExpired();
      const found = tickets.get(ticket);
      if (found === undefined) return null;
      tickets.delete(ticket);
      return found.connectionId === connectionId ? found.principal : null;
    },
  };
}
