/**
 * The send of the Environments API in Fastify. The schemas of `@letta-environments/schema` replace Fastify's own validation, so a wrong
 * body gets the same problem as at the gateway, with the member and the rule.
 */
import { checkValue, problemResponse, type SendMessageBody, SendMessageBodySchema } from "@letta-environments/schema";
import Fastify, { type FastifyInstance } from "fastify";
import type * as v from "valibot";

/** Delivers a message and returns whether the device was online. */
export type Deliver = (connectionId: string, body: SendMessageBody) => Promise<boolean>;

/** Creates the service. It listens when its caller says so. */
export function createFastifyService(deliver: Deliver): FastifyInstance {
  const app = Fastify({ bodyLimit: 1_048_576 });
  app.setValidatorCompiler<v.GenericSchema>(({ schema }) => (value: unknown) => {
    const checked = checkValue(schema, value, "body");
    return checked.ok ? { value: checked.value } : { error: new BrokenRulesError(checked.issues) };
  });
  app.setErrorHandler((error, _request, reply) => {
    const { status, headers, body } =
      error instanceof BrokenRulesError
        ? problemResponse("invalid_request", { issues: error.issues })
        : problemResponse("internal_error");
    return reply.code(status).headers(headers).send(body);
  });
  app.post<{ Params: { connectionId: string }; Body: SendMessageBody }>(
    "/v1/environments/:connectionId/messages",
    { schema: { body: SendMessageBodySchema } },
    async ({ params, body }, reply) => {
      if (await deliver(params.connectionId, body)) return { message: "Delivered", success: true };
      const offline = problemResponse("device_offline");
      return reply.code(offline.status).headers(offline.headers).send(offline.body);
    },
  );
  return app;
}

type Issues = Extract<ReturnType<typeof checkValue>, { readonly ok: false }>["issues"];

class BrokenRulesError extends Error {
  override readonly name: string = "BrokenRulesError";
  readonly issues: Issues;

  constructor(issues: Issues) {
    super("the body breaks a rule");
    this.issues = issues;
  }
}
