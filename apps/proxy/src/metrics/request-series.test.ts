import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createRequestSeries } from "./request-series.ts";
import { createMetricTable } from "./table.ts";

const { paths } = JSON.parse(readFileSync(new URL("../../openapi.json", import.meta.url), "utf8")) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
};

test("the requests of every operation are counted with the path of the API description", () => {
  const table = createMetricTable();
  const seriesOf = createRequestSeries(table);
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => ({ path, method: method.toUpperCase(), operationId })),
  );
  for (const { method, operationId } of described)
    table.observe(seriesOf({ method, operation: operationId, status: 200 }), 0);
  const counted = table.read().flatMap(({ series }) => series.map(({ labels: [method, path] }) => `${method} ${path}`));
  expect(counted.toSorted()).toEqual(described.map(({ method, path }) => `${method} ${path}`).toSorted());
});
