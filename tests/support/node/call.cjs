// One call by the unmodified npm package pdd-sdk: node call.cjs reads {url, client_id, client_secret, type, parameters}
// from standard input and writes {answer} or {refusal} on standard output. Any other failure: exit code 2.
//
// The SDK hard-codes the platform's address and has no option for another; its axios instance is exported, so
// the address is set there, from outside. Its own path "/" and its own signature stay as they are.
const { default: PddSdk } = require("pdd-sdk");
const { default: requests } = require("pdd-sdk/dist/request_utils");

const pieces = [];
process.stdin.on("data", (piece) => pieces.push(piece));
process.stdin.on("end", async () => {
  const asked = JSON.parse(Buffer.concat(pieces).toString("utf8"));
  requests.defaults.baseURL = asked.url;
  requests.defaults.proxy = false;
  const sdk = new PddSdk({ clientId: asked.client_id, clientSecret: asked.client_secret });
  try {
    console.log(JSON.stringify({ answer: await sdk.execute(asked.type, asked.parameters) }));
  } catch (refused) {
    if (!refused.error_response) {
      console.error(String(refused));
      process.exit(2);
    }
    console.log(JSON.stringify({ refusal: refused }));
  }
});
