// Reads CSDL from standard input by the parser of the OASIS committee that OData is from, and prints it as CSDL JSON. Whatever the
// parser objects to ends it.
const { readFileSync } = require("fs");
const { xml2json } = require("odata-csdl/lib/xml2json.js");

console.log(JSON.stringify(xml2json(readFileSync(0, "utf8"), { strict: true })));
