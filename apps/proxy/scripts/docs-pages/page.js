// Sends the requests of the forms from the page itself. The key is in this page's memory alone.
const key = document.querySelector("#credentials input");
document.querySelector("#credentials").addEventListener("submit", (event) => event.preventDefault());

function requestOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  let body;
  let type;
  for (const field of form.querySelectorAll("input, textarea")) {
    const [place, name] = field.name.split(":");
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(field.value));
    else if (place === "query" && field.value !== "") query.append(name, field.value);
    else if (place === "body") [body, type] = [field.value, field.dataset.type];
  }
  const headers = {};
  if (key.value !== "") headers.authorization = `Bearer ${key.value.trim()}`;
  if (type !== undefined) headers["content-type"] = type;
  const target = query.size === 0 ? path : `${path}?${query}`;
  return [target, { method: form.dataset.method, headers, body, credentials: "omit", redirect: "error" }];
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(form) {
  const output = form.querySelector("output");
  output.textContent = "…";
  try {
    const response = await fetch(...requestOf(form));
    const id = response.headers.get("x-request-id") ?? "";
    output.textContent = `${response.status} ${response.statusText}  ${id}\n${pretty(await response.text())}`;
  } catch (error) {
    output.textContent = `The request failed: ${error.message}`;
  }
}

for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send(form);
  });
}
