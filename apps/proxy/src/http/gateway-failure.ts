/**
 * Whether a status says that a proxy got no usable response from the server behind it: 502, 503 or 504, or one of Cloudflare's own. Workers get those
 * from `fetch` too, where other runtimes have a failed connection. A send with such a status may have been delivered.
 */
export function isGatewayFailure(status: number): boolean {
  return (status >= 502 && status <= 504) || (status >= 520 && status <= 527) || status === 530;
}
