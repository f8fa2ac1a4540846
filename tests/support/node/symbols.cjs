// Symbols by bwip-js, an encoder with nothing in common with labelsvc's: node symbols.cjs reads a JSON list of
// [type, text, options] from standard input and writes as many of {widths, heights, feet, cells, columns} or {refusal} on
// standard output.
const { raw } = require("bwip-js");

const pieces = [];
process.stdin.on("data", (piece) => pieces.push(piece));
process.stdin.on("end", () => {
  const made = JSON.parse(Buffer.concat(pieces).toString("utf8")).map(([type, text, options]) => {
    try {
      const [symbol] = raw(type, text, options);
      return { widths: symbol.sbs, heights: symbol.bhs, feet: symbol.bbs, cells: symbol.pixs, columns: symbol.pixx };
    } catch (refused) {
      return { refusal: String(refused) };
    }
  });
  process.stdout.write(JSON.stringify(made), () => process.exit(0));
});
