/** Versions that the gateway states: its own, and that of the devices that it invites. */
import manifest from "../package.json" with { type: "json" };

export const version: string = manifest.version;

/** The `User-Agent` of the requests that the gateway makes. */
export const userAgent: string = `letta-environments-proxy/${version}`;

/**
 * The version of Letta Code that an invited device runs: the one that this gateway is tested with. It is here, and not next to the command that
 * prints it, because bundles of a mostly unused module differ from build to build.
 */
export const deviceVersion = "0.32.18";
