// The two official TypeScript clients behind one face. Version 1, as most programs still have it, knows the handshake
// alone; version 2 speaks both eras. Both answer whatever they are asked.
import { createRequire } from "node:module";

const ANSWER = "from TypeScript";

function elicit({ params }) {
  const fields = Object.keys(params.requestedSchema.properties);
  return { action: "accept", content: Object.fromEntries(fields.map((name) => [name, ANSWER])) };
}

function sample() {
  return { role: "assistant", model: "m", content: { type: "text", text: ANSWER } };
}

function listRoots() {
  return { roots: [{ uri: "file:///typescript" }] };
}

// `name` is typescript-1 or typescript-2, `era` legacy or modern; packages are found under the folder `packages`.
export async function connect({ packages, name, url, era }) {
  const require = createRequire(`${packages}/`);
  return name === "typescript-1" ? connectFirst(require, url) : connectSecond(require, url, era);
}

const INFO = { name: "test", version: "1.0" };
const CAPABILITIES = { elicitation: {}, sampling: {}, roots: {} };

async function connectFirst(require, url) {
  const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const types = require("@modelcontextprotocol/sdk/types.js");
  const client = new Client(INFO, { capabilities: CAPABILITIES });
  client.setRequestHandler(types.ElicitRequestSchema, elicit);
  client.setRequestHandler(types.CreateMessageRequestSchema, sample);
  client.setRequestHandler(types.ListRootsRequestSchema, listRoots);
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  const call = (tool, args, options) => client.callTool({ name: tool, arguments: args }, undefined, options);
  return { client, call, protocolVersion: transport.protocolVersion };
}

async function connectSecond(require, url, era) {
  const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
  const mode = era === "legacy" ? "legacy" : "auto";
  const client = new Client(INFO, { capabilities: CAPABILITIES, versionNegotiation: { mode } });
  client.setRequestHandler("elicitation/create", elicit);
  client.setRequestHandler("sampling/createMessage", sample);
  client.setRequestHandler("roots/list", listRoots);
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const call = (tool, args, options) => client.callTool({ name: tool, arguments: args }, options);
  return { client, call, protocolVersion: client.getNegotiatedProtocolVersion() };
}
