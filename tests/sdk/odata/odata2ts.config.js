// What odata2ts reads: $metadata of the gateway at GATEWAY, with TOKEN. What it writes goes to OUTPUT.
const { EmitModes, Modes } = require("@odata2ts/odata2ts");

const { GATEWAY, TOKEN, OUTPUT } = process.env;
module.exports = {
  mode: Modes.service,
  emitMode: EmitModes.js,
  services: {
    graph: {
      source: `${OUTPUT}/metadata.xml`,
      sourceUrl: `${GATEWAY}/beta`,
      sourceUrlConfig: { custom: { headers: { Authorization: `Bearer ${TOKEN}` } } },
      refreshFile: true,
      output: OUTPUT,
    },
  },
};
