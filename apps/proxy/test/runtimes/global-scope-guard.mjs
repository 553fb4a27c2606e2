/** Preloaded before a built gateway. Everything that must not happen while the gateway is imported throws. */
const forbidden = ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "fetch"];
for (const name of forbidden) {
  globalThis[name] = () => {
    throw new Error(`${name} was called in global scope`);
  };
}
Math.random = () => {
  throw new Error("Math.random was called in global scope");
};
for (const name of ["getRandomValues", "randomUUID"]) {
  globalThis.crypto[name] = () => {
    throw new Error(`crypto.${name} was called in global scope`);
  };
}
