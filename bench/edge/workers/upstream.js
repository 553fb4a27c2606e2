/** The upstream of the gateway: the fixed row for every device, a list with it, and success for every send. */
// oxlint-disable-next-line import/no-default-export -- a Worker is a default export
export default {
  fetch(request, { BODY }) {
    const { pathname } = new URL(request.url);
    const headers = { "content-type": "application/json" };
    if (request.method === "POST") return Response.json({ success: true, message: "Message sent." });
    const list = `{"connections":[${BODY}],"hasNextPage":false}`;
    return new Response(pathname === "/v1/environments" ? list : BODY, { headers });
  },
};
