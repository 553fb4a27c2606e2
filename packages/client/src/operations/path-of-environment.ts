import { checkValue } from "../check-value.ts";
import { identifierPattern } from "../identifier-pattern.ts";

/**
 * Where an environment is, by its device or by its connection: ids need no encoding, since they have only characters that a path may hold.
 *
 * @throws LettaEnvironmentsError `invalid_argument` unless the id may stand in a path (`isIdentifier` in the schema package).
 */
export const pathOfEnvironment = (member: "deviceId" | "connectionId", id: string): `/${string}` =>
  `/v1/environments/${checkValue(member, id, identifierPattern)}`;
