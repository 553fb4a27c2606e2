/**
 * Devices in a tRPC router. tRPC takes any Standard Schema, so the schemas of `@letta-environments/schema` are its inputs, and its clients get
 * their types.
 */
import { ListEnvironmentsQuerySchema, SendMessageBodySchema } from "@letta-environments/schema";
import type { EnvironmentList, ListEnvironmentsQuery, SendMessageBody } from "@letta-environments/schema";
import { initTRPC } from "@trpc/server";
import * as v from "valibot";

/** The program behind the router. */
export interface DeviceService {
  list(query: ListEnvironmentsQuery): Promise<EnvironmentList>;
  /** Returns whether the device was online. */
  send(connectionId: string, body: SendMessageBody): Promise<boolean>;
}

const { router, procedure, createCallerFactory } = initTRPC.context<{ readonly devices: DeviceService }>().create();

/** The router. */
export const devicesRouter = router({
  list: procedure.input(ListEnvironmentsQuerySchema).query(({ ctx, input }) => ctx.devices.list(input)),
  send: procedure
    .input(v.object({ connectionId: v.string(), body: SendMessageBodySchema }))
    .mutation(({ ctx, input }) => ctx.devices.send(input.connectionId, input.body)),
});

/** Calls the router without HTTP, as server components do. */
export const createDevicesCaller = createCallerFactory(devicesRouter);
