import type { SettingProblem } from "../lib/setting-problem.ts";

/** Holds each origin of `cors.origins` against the form in which browsers write it: nothing else could ever match. */
export function checkOrigins(origins: readonly string[]): readonly SettingProblem[] {
  return origins.flatMap((origin, index) => {
    const rule = originRule(origin);
    return rule === null ? [] : [{ setting: `cors.origins[${index}]`, rule }];
  });
}

function originRule(origin: string): string | null {
  if (origin.includes("*")) return "must be one exact origin; patterns are not supported";
  if (!URL.canParse(origin)) return "must be an origin such as https://console.example";
  const url = new URL(origin);
  if (url.protocol !== "https:" && url.protocol !== "http:") return "must be an http: or https: origin";
  return url.origin === origin
    ? null
    : "must be written as browsers do: scheme, host in lower case, port if unusual, no path";
}
