const hostPattern = /^(?:([A-Za-z0-9.-]+)|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;
const ipv4Pattern = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/;

/**
 * Whether `Host` can be this listener's own: an address, `localhost`, or one of its names. A page that makes its own name point
 * here (DNS rebinding) sends that name.
 */
export function isOwnHost(host: string | null, hostnames: readonly string[]): boolean {
  const match = hostPattern.exec(host ?? "");
  if (match === null) return false;
  const [, name] = match;
  if (name === undefined || ipv4Pattern.test(name)) return true;
  const lowerCase = name.toLowerCase();
  return lowerCase === "localhost" || hostnames.some((known) => known.toLowerCase() === lowerCase);
}
