// What every client does with conformance/patient_server.py: list, call, follow progress, cancel, and see that it worked.
// Usage: node tour.mjs PACKAGES typescript-1|typescript-2 URL legacy|modern TAG; prints JSON.
import { connect } from "./connect.mjs";

const WAIT_MS = 10_000;
const [packages, name, url, era, tag] = process.argv.slice(2);
const { client, call, protocolVersion } = await connect({ packages, name, url, era });
const text = async (tool, args, options) => (await call(tool, args, options)).content[0].text;

async function beginAndCancel() {
  const abort = new AbortController();
  const options = { signal: abort.signal, onprogress: () => abort.abort(new Error("changed its mind")) };
  return call("linger", { tag }, options).then(
    () => "answered",
    (error) => String(error),
  );
}

async function cancellations() {
  for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline; ) {
    const count = await text("cancellations", { tag });
    if (count !== "0") return count;
  }
  return "0";
}

const { tools } = await client.listTools();
const sum = await text("add", { a: 2, b: 3 });
const progress = [];
await call("count", {}, { onprogress: ({ progress: step }) => progress.push(step) });
const refused = await beginAndCancel();
const seen = { protocolVersion, server: client.getServerVersion(), tools: tools.map((tool) => tool.name), sum, progress };
console.log(JSON.stringify({ ...seen, refused, cancellations: await cancellations() }));
await client.close();
