/**
 * Tickets: single-use credentials for the socket of a viewer, because a browser cannot send a header with a WebSocket and a key
 * does not belong in a URL. A ticket represents the principal that requested it and opens one socket of one connection.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import { type Principal, ticketPrefix } from "@letta-environments/schema";
import { createGroups } from "../collections.ts";
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
  const ofTenants = createGroups<string>();
  const ofKeys = createGroups<string>();

  function remove(ticket: string, { principal }: Ticket): void {
    tickets.delete(ticket);
    ofTenants.delete(principal.tenant, ticket);
    ofKeys.delete(keyOf(principal), ticket);
  }

  function forgetExpired(): void {
    const nowMs = clock.monotonic();
    for (const [ticket, entry] of tickets) {
      if (entry.expiresAtMs > nowMs) return;
      remove(ticket, entry);
    }
  }

  /** The tenant with the most loses its oldest ticket, so that no tenant takes those of another. */
  function makeRoom(): void {
    if (tickets.size <= maxTickets) return;
    const oldest = ofTenants.firstOf(ofTenants.largest() ?? "");
    const entry = oldest === undefined ? undefined : tickets.get(oldest);
    if (oldest !== undefined && entry !== undefined) remove(oldest, entry);
  }

  return {
    issue(principal, connectionId) {
      forgetExpired();
      if (ofKeys.sizeOf(keyOf(principal)) >= maxTicketsPerKey) return null;
      const ticket = randomId(ticketPrefix);
      tickets.set(ticket, { principal, connectionId, expiresAtMs: clock.monotonic() + ticketLifetimeMs });
      ofTenants.add(principal.tenant, ticket);
      ofKeys.add(keyOf(principal), ticket);
      makeRoom();
      return ticket;
    },
    redeem(ticket, connectionId) {
      forgetExpired();
      const found = tickets.get(ticket);
      if (found === undefined) return null;
      remove(ticket, found);
      return found.connectionId === connectionId ? found.principal : null;
    },
  };
}

function keyOf({ tenant, keyId }: Principal): string {
  return JSON.stringify([tenant, keyId]);
}
