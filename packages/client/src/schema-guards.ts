import {
  checkValue,
  EnvironmentListSchema,
  EnvironmentSchema,
  ListEnvironmentsQuerySchema,
  SendMessageBodySchema,
  SendMessageResponseSchema,
} from "@letta-environments/schema";

const find =
  (schema: Parameters<typeof checkValue>[0]) =>
  (value: unknown): string | null => {
    if (Array.isArray(value)) return "";
    const checked = checkValue(schema, value, "", { firstIssueOnly: true });
    return checked.ok ? null : (checked.issues[0]?.member ?? "");
  };

export const findEnvironmentListMismatch: (value: unknown) => string | null = find(EnvironmentListSchema);
export const findEnvironmentMismatch: (value: unknown) => string | null = find(EnvironmentSchema);
export const findListEnvironmentsWireQueryMismatch: (value: unknown) => string | null = find(ListEnvironmentsQuerySchema);
export const findSendMessageBodyMismatch: (value: unknown) => string | null = find(SendMessageBodySchema);
export const findSendMessageResponseMismatch: (value: unknown) => string | null = find(SendMessageResponseSchema);
