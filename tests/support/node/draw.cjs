// Draws the ZPL read from standard input as a PNG on standard output: node draw.cjs WIDTH_MM HEIGHT_MM DOTS_PER_MM
const { ready } = require("zpl-renderer-js");

const pieces = [];
process.stdin.on("data", (piece) => pieces.push(piece));
process.stdin.on("end", async () => {
  try {
    const { api } = await ready;
    const zpl = Buffer.concat(pieces).toString("utf8");
    const png = await api.zplToBase64Async(zpl, ...process.argv.slice(2).map(Number));
    process.stdout.write(Buffer.from(png, "base64"), () => process.exit(0));
  } catch (error) {
    console.error(String(error));
    process.exit(2);
  }
});
