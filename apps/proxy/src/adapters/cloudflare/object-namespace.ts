/** A namespace of Durable Objects, so far as it is used; `DurableObjectNamespace` of Cloudflare's types fits. */
export interface ObjectNamespace<Stub> {
  /** A new stub at each call: one over which a call has failed may be of no use any more. */
  getByName(name: string): Stub;
}
