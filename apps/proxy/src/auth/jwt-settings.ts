import type { Scope } from "@letta-environments/schema";

/** Which tokens (RFC 7519) are accepted, and who their bearer is. */
export interface JwtSettings {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly jwksUrl: string;
  /** Asymmetric ones only. */
  readonly algorithms: readonly string[];
  /** The `typ` that a token must have. */
  readonly type: string;
  readonly clockToleranceMs: number;
  readonly maxTokenBytes: number;
  /** Age from which the key set is read again, beside the requests. */
  readonly jwksMaxAgeMs: number;
  /** Age up to which the key set stays usable while the issuer cannot be reached. */
  readonly jwksStaleMs: number;
  /** Shortest time between two reads of the key set, whatever callers send. */
  readonly jwksCooldownMs: number;
  readonly jwksTimeoutMs: number;
  /** Tenant of every token; `null` when a claim tells. */
  readonly tenant: string | null;
  readonly claims: ClaimSettings;
  /** Scopes by what the scopes claim holds; `null`: by their own names, but for `connect`. `admin` is never a token's. */
  readonly scopeMap: ReadonlyMap<string, readonly Scope[]> | null;
}

/** Where in a token the members of the principal are; `null`: not in it. */
export interface ClaimSettings {
  readonly tenant: ClaimPath | null;
  readonly scopes: ClaimPath;
  readonly owner: ClaimPath;
  readonly deviceIds: ClaimPath | null;
  readonly connectionNames: ClaimPath | null;
  readonly agentIds: ClaimPath | null;
  readonly maxMode: ClaimPath | null;
}

/** A claim by its name, or by the names that lead to it through nested objects. */
export type ClaimPath = string | string[];

/** A signature algorithm that a token may have (RFC 7518 section 3.1, RFC 9864). None is symmetric. */
export type JwtAlgorithm =
  | "RS256"
  | "RS384"
  | "RS512"
  | "PS256"
  | "PS384"
  | "PS512"
  | "ES256"
  | "ES384"
  | "ES512"
  | "EdDSA"
  | "Ed25519";

/** Every {@link JwtAlgorithm}. */
export const jwtAlgorithms: readonly JwtAlgorithm[] = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
