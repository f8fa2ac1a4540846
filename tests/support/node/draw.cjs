// Draws ZPL: a line {zpl (base64), width, height (mm), density (dots a mm)} of JSON on standard input gives a line
// {png (base64)} or {error} on standard output, until the input ends. One process draws many labels, because starting
// the renderer takes longer than ten labels.
const readline = require("readline");
const { ready } = require("zpl-renderer-js");

(async () => {
  const { api } = await ready;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    let answer;
    try {
      const zpl = Buffer.from(asked.zpl, "base64").toString("utf8");
      answer = { png: await api.zplToBase64Async(zpl, asked.width, asked.height, asked.density) };
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  process.exit(0);
})();
