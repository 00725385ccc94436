// Calls tools that ask their client something, of conformance/everything_server.py; prints what they made of the answers.
// Usage: node asked.mjs PACKAGES typescript-1|typescript-2 URL legacy|modern JSON, an object of arguments by tool.
import { connect } from "./connect.mjs";

const [packages, name, url, era, tools] = process.argv.slice(2);
const { client, call } = await connect({ packages, name, url, era });
const said = {};
for (const [tool, args] of Object.entries(JSON.parse(tools))) {
  said[tool] = (await call(tool, args)).content[0].text;
}
console.log(JSON.stringify(said));
await client.close();
