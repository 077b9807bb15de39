'use strict';

// Makes one call with the unmodified gRPC of Node.js and prints what came of it.
//
//   node call.js PROTOS
//
// The first line of standard input says which call:
//   {"target", "service", "method", "request", "deadlineMs"?, "cancelAfterMessages"?}
// Any further line cancels it. The answer is one line: {"code", "details", "messages"}.

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const readline = require('node:readline');

const [protos] = process.argv.slice(2);
const options = { includeDirs: [protos], longs: String, enums: String, defaults: true };
const definitions = loader.loadSync(['migrationd/v1/control.proto', 'migrationd/v1/transport.proto'], options);
const services = grpc.loadPackageDefinition(definitions).migrationd.v1;

let call;
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => (call ? call.cancel() : start(JSON.parse(line))));

function start(order) {
  const client = new services[order.service](order.target, grpc.credentials.createInsecure());
  const settings = order.deadlineMs === undefined ? {} : { deadline: Date.now() + order.deadlineMs };
  const messages = [];

  function end(status) {
    process.stdout.write(JSON.stringify({ code: status.code, details: status.details, messages }) + '\n');
    client.close();
    lines.close();
    process.stdin.destroy();
  }

  if (client[order.method].responseStream) {
    call = client[order.method](order.request, settings);
    call.on('data', (message) => {
      messages.push(message);
      if (messages.length === order.cancelAfterMessages) {
        call.cancel();
      }
    });
    call.on('error', () => {}); // The status says the same.
    call.on('status', end);
    return;
  }

  // The callback gets the message or the error; the status says how the call ended in both cases, and comes after it.
  call = client[order.method](order.request, settings, (error, message) => {
    if (!error) {
      messages.push(message);
    }
  });
  call.on('status', (status) => setImmediate(end, status));
}
