/** The settings of JWTs after defaults were applied. Tokens are verified in `jwt-verify.ts`, claims are read in `jwt-claims.ts`. */
import type { Scope } from "@letta-environments/schema";

/** Which JWTs (RFC 7519) are accepted, and how their claims map to a principal. */
export interface JwtSettings {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly jwksUrl: string;
  /** Asymmetric algorithms only. */
  readonly algorithms: readonly string[];
  /** The `typ` that a token must have. */
  readonly type: string;
  readonly clockToleranceMs: number;
  readonly maxTokenBytes: number;
  /** Age from which the JWKS is reloaded in the background. */
  readonly jwksMaxAgeMs: number;
  /** Age up to which the JWKS stays usable while the issuer is unreachable. */
  readonly jwksStaleMs: number;
  /** Shortest time between two reloads of the JWKS, whatever callers send. */
  readonly jwksCooldownMs: number;
  readonly jwksTimeoutMs: number;
  /** Tenant of every token; `null`: a claim names it. */
  readonly tenant: string | null;
  readonly claims: ClaimSettings;
  /** Scopes by the values of the scopes claim; `null`: those of `scopesGrantedByName` by their own names. Tokens never have `admin`. */
  readonly scopeMap: ReadonlyMap<string, readonly Scope[]> | null;
}

/** The claims for the members of the principal; `null`: no claim. */
export interface ClaimSettings {
  readonly tenant: ClaimPath | null;
  readonly scopes: ClaimPath;
  readonly owner: ClaimPath;
  readonly deviceIds: ClaimPath | null;
  readonly connectionNames: ClaimPath | null;
  readonly deviceTags: ClaimPath | null;
  readonly agentIds: ClaimPath | null;
  readonly maxMode: ClaimPath | null;
}

/** A claim: its name, or the names that lead to it through nested objects. */
export type ClaimPath = string | string[];

/** The signature algorithms of tokens (RFC 7518 section 3.1, RFC 9864). None is symmetric. */
export const jwtAlgorithms = [
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
] as const;

export type JwtAlgorithm = (typeof jwtAlgorithms)[number];
