/* global Deno */
/** Deno's own server, and Deno Deploy. */
import { createFetchHandler } from "./fetch.js";

const handle = createFetchHandler({ environment: Deno.env.toObject() });

Deno.serve((request, { remoteAddr }) => handle(request, { clientAddress: remoteAddr.hostname }));
