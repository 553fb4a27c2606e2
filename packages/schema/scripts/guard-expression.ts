import type { Rule, Shape, TextRule } from "./shape.ts";

/** The functions that the generated guards call, collected while the guards are generated. */
export interface GuardContext {
  readonly rules: Map<string, Rule>;
  /** Helper functions by name. */
  readonly helpers: Map<string, string>;
}

/** Returns an expression that is true if the value of `access` matches the shape. */
export function guardExpression(shape: Shape, access: string, context: GuardContext): string {
  switch (shape.kind) {
    case "text":
      return call(textHelper(shape.rules, context), access);
    case "number":
      return call("isNumber", access);
    case "boolean":
      return call("isFlag", access);
    case "values":
      return alternatives(shape.values.map((value) => `${access} === ${JSON.stringify(value)}`));
    case "record":
      return call("isRecord", access);
    case "object":
      return call(`is${shape.name}`, access);
    case "nullable":
      return orEmpty(shape.inner, access, "null", context);
    case "array": {
      const item = guardExpression(shape.item, "item", context);
      const check = /^(\w+)\(item\)$/.exec(item)?.[1] ?? `(item) => ${item}`;
      const least = shape.minLength > 0 ? ` && ${access}.length >= ${shape.minLength}` : "";
      const most = shape.maxLength === null ? "" : ` && ${access}.length <= ${shape.maxLength}`;
      return `isEach(${access}, ${check})${least}${most}`;
    }
    case "either": {
      const [first, second] = [shape.first, shape.second].map((chosen) => guardExpression(chosen, access, context));
      return `(${callRule(shape.isFirst, access, context)} ? ${first} : ${second})`;
    }
  }
}

/** Returns the expression for a member that may be absent. */
export function optionalExpression(shape: Shape, access: string, context: GuardContext): string {
  if (
    shape.kind === "array" &&
    shape.minLength === 0 &&
    guardExpression(shape.item, "item", context) === "isText(item)"
  )
    return call("isTextsOrAbsent", access);
  const isTextOrNumber = (inner: Shape): boolean => inner.kind === "text" || inner.kind === "number";
  if (shape.kind === "nullable" && !isTextOrNumber(shape.inner))
    return alternatives([`${access} == null`, guardExpression(shape.inner, access, context)]);
  return orEmpty(shape, access, "undefined", context);
}

/** Returns a call of a rule, and imports the rule. */
function callRule(rule: Rule, access: string, { rules }: GuardContext): string {
  rules.set(rule.name, rule);
  return call(rule.name, access);
}

function orEmpty(shape: Shape, access: string, empty: "null" | "undefined", context: GuardContext): string {
  const inner = guardExpression(shape, access, context);
  const name = /^(is(?:Text|Number))\(/.exec(inner)?.[1];
  if (name === undefined) return alternatives([`${access} === ${empty}`, inner]);
  const helper = `${name}Or${empty === "null" ? "Null" : "Absent"}`;
  // The type first: most members are present, and engines check a type faster than undefined.
  context.helpers.set(helper, arrow(helper, `${call(name, "value")} || value === ${empty}`));
  return call(helper, access);
}

function textHelper(rules: readonly TextRule[], context: GuardContext): string {
  if (rules.length === 0) return "isText";
  const name = `isText${rules.map(nameOfRule).join("")}`;
  const conditions = rules.map((rule) => conditionOf(rule, context));
  context.helpers.set(name, arrow(name, ["isText(value)", ...conditions].join(" && ")));
  return name;
}

function nameOfRule(rule: TextRule): string {
  if (rule.kind === "rule") return rule.rule.name.replace(/^is/, "");
  return `${rule.kind === "minLength" ? "From" : "To"}${rule.length}`;
}

function conditionOf(rule: TextRule, context: GuardContext): string {
  if (rule.kind === "rule") return callRule(rule.rule, "value", context);
  return `value.length ${rule.kind === "minLength" ? ">=" : "<="} ${rule.length}`;
}

function arrow(name: string, body: string): string {
  return `const ${name} = (value: unknown): boolean => ${body};`;
}

function call(name: string, access: string): string {
  return `${name}(${access})`;
}

function alternatives(conditions: readonly string[]): string {
  return `(${conditions.join(" || ")})`;
}
