/** Sessions of the web console on Workers. They are secrets of keys, so they are in the Durable Object that has the keys. */
import { randomBytes } from "@letta-environments/platform/cloudflare";
import { deviceVersion } from "../../commands/invitation.ts";
import { createConsoleSessions } from "../../console/sessions.ts";
import { version } from "../../version.ts";
import type { ComposeSessions } from "./compose.ts";

/**
 * Composes the sessions of a Worker. The platform passes the host that the client requested, so the origin of the page needs no setting. The
 * administration is on the same listener; devices, extensions of the API, figures and the search of the audit log are not here.
 */
export const composeWorkerSessions: ComposeSessions = (ports) =>
  createConsoleSessions(
    { ...ports, randomBytes },
    {
      publicUrl: null,
      version,
      servesDevices: false,
      servesExtensions: false,
      isAdministered: true,
      deviceVersion,
    },
  );
