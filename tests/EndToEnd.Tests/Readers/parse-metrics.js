// Reads a page of metrics from standard input, parses it, and writes the families as JSON.
const fs = require('node:fs');
const parse = require('parse-prometheus-text-format');

process.stdout.write(JSON.stringify(parse(fs.readFileSync(0, 'utf8'))));
