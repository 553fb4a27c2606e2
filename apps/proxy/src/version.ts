import manifest from "../package.json" with { type: "json" };

/** Version of the proxy. */
export const version: string = manifest.version;
