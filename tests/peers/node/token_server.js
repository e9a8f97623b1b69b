// An authorization server of another make (oidc-provider), and a MES that believes its tokens only.
//
//     node token_server.js [SECONDS [AHEAD]]
//
// Prints `port N` when it listens on 127.0.0.1, on a port that the kernel chooses. `POST /token` gives tokens that live SECONDS
// (600) to the client `gw 07: press+1` with the secret of the first line of the input, by either way to say it; the scope
// `events:write` is theirs. The server's clock is AHEAD seconds ahead (0; below zero it is behind). `POST /events` answers 204
// to a token that it knows and that lives, else 401. It prints `token` for each one that it gives, `refused` for each client
// that it does not know, and `taken ID` for each event that it takes. A line `revoke` ends the life of all tokens.
// The end of the input ends the server.

"use strict";
const http = require("node:http");
const readline = require("node:readline");

const life = Number(process.argv[2] ?? 600);
const ahead = Number(process.argv[3] ?? 0) * 1000;
const now = Date.now;
Date.now = () => now() + ahead;
const issued = [];
// It prefers a later Node.js, and says so on the way.
console.info = console.warn = () => {};

function client(secret, method) {
  return {
    client_id: method === "client_secret_post" ? "gw-post" : "gw 07: press+1",
    client_secret: secret,
    token_endpoint_auth_method: method,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    scope: "events:write",
  };
}

async function main(secret, lines) {
  const { Provider } = await import("oidc-provider");
  const server = http.createServer();
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: ["client_secret_basic", "client_secret_post"].map((method) => client(secret, method)),
    scopes: ["events:write"],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    ttl: { ClientCredentials: life },
  });
  provider.on("client_credentials.saved", (token) => {
    issued.push(token);
    console.log("token");
  });
  provider.on("grant.error", () => console.log("refused"));
  const answer = provider.callback();
  server.on("request", (request, response) => {
    if (request.url === "/events") take(provider, request, response);
    else answer(request, response);
  });
  lines.on("line", async (line) => {
    if (line === "revoke") await Promise.all(issued.splice(0).map((token) => token.destroy()));
    console.log("revoked");
  });
  console.log(`port ${port}`);
}

function take(provider, request, response) {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    const [, value] = /^Bearer (.+)$/.exec(request.headers.authorization ?? "") ?? [];
    const token = value && (await provider.ClientCredentials.find(value));
    const good = token && !token.isExpired && token.scope === "events:write";
    if (good) console.log(`taken ${JSON.parse(Buffer.concat(parts)).id}`);
    response.writeHead(good ? 204 : 401).end();
  });
}

const lines = readline.createInterface({ input: process.stdin });
lines.once("line", (secret) => main(secret, lines));
lines.on("close", () => process.exit(0));
