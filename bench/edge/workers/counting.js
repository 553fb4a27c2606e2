/**
 * The built gateway, with counters: calls of Durable Objects and of the Cache API, and the rows that objects read and write, index rows
 * included. `/counts` returns them and begins again. Objects of a Worker share its isolate in workerd, so one counter sees all of them.
 */
import gateway, * as built from "./cloudflare.js";

const counts = { calls: 0, cacheCalls: 0, rowsRead: 0, rowsWritten: 0 };

/** Counts the rows of every statement from now on: a cursor knows them once it was read. */
function countRows(sql) {
  const cursor = Object.getPrototypeOf(sql.exec("SELECT 1"));
  const { toArray } = cursor;
  cursor.toArray = function count() {
    const rows = toArray.call(this);
    counts.rowsRead += this.rowsRead;
    counts.rowsWritten += this.rowsWritten;
    return rows;
  };
}

let countsRows = false;

/** The class of an object whose SQL is counted. */
function counting(Class) {
  return class extends Class {
    constructor(ctx, env) {
      super(ctx, env);
      if (!countsRows) countRows(ctx.storage.sql);
      countsRows = true;
    }
  };
}

export const KeyObject = counting(built.KeyObject);
export const RateLimitObject = counting(built.RateLimitObject);
export const FlightObject = counting(built.FlightObject);
export const AuditObject = counting(built.AuditObject);
export const TenantObject = counting(built.TenantObject);

const { prototype } = Cache;
for (const name of ["match", "put", "delete"]) {
  const method = prototype[name];
  prototype[name] = function count(...words) {
    counts.cacheCalls += 1;
    return method.apply(this, words);
  };
}

function countCalls(namespace) {
  return {
    getByName(name) {
      const stub = namespace.getByName(name);
      return new Proxy(stub, {
        get(target, method) {
          return (...words) => {
            counts.calls += 1;
            return target[method](...words);
          };
        },
      });
    },
  };
}

let counted = null;

// oxlint-disable-next-line import/no-default-export -- a Worker is a default export
export default {
  fetch(request, env) {
    if (request.url.endsWith("/counts")) {
      const response = Response.json(counts);
      for (const name of Object.keys(counts)) counts[name] = 0;
      return response;
    }
    counted ??= Object.fromEntries(
      Object.entries(env).map(([name, value]) => [name, value?.getByName === undefined ? value : countCalls(value)]),
    );
    return gateway.fetch(request, counted);
  },
};
