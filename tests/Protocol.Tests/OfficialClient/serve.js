'use strict';

// Serves some methods of Control with the unmodified gRPC of Node.js, for a client under test.
//
//   node serve.js PROTOS
//
// Prints the port of 127.0.0.1 as its first line, then one line for each call whose client gave it up. Ends when standard input does.

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [protos] = process.argv.slice(2);
const definitions = loader.loadSync('migrationd/v1/control.proto', { includeDirs: [protos] });
const { Control } = grpc.loadPackageDefinition(definitions).migrationd.v1;

const server = new grpc.Server();
server.addService(Control.service, {
  getGuest(call, answer) {
    const { name } = call.request;
    if (name.startsWith('fail ')) {
      const [, code, details] = /^fail (\d+) (.*)$/s.exec(name);
      answer({ code: Number(code), details });
    } else if (name.startsWith('hang ')) {
      call.on('cancelled', () => process.stdout.write(`${name}\n`));
    } else {
      answer(null, { spec: { name } });
    }
  },
  watchMigration(call) {
    const count = Number(call.request.id);
    for (let i = 0; i < count; i++) {
      call.write({ id: call.request.id, pagesReceived: i });
    }
    call.end();
  },
});

server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) {
    throw error;
  }
  process.stdout.write(`${port}\n`);
});

process.stdin.resume();
process.stdin.on('end', () => server.forceShutdown());
