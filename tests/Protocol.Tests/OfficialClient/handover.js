'use strict';

// Hands a guest over with the unmodified gRPC of Node.js: gives the three orders of the switchover on a handover lane, each when the one
// before it is answered.
//
//   node handover.js PROTOS
//
// The first line of standard input is {"target", "session", "secret" (base64), "staleRuns", "deviceState" (base64)}. The answer is one
// line: {"code", "details", "answers"}.

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const readline = require('node:readline');

const [protos] = process.argv.slice(2);
const options = { includeDirs: [protos], longs: String, enums: String, defaults: true };
const definitions = loader.loadSync(['migrationd/v1/transport.proto'], options);
const { PageLanes } = grpc.loadPackageDefinition(definitions).migrationd.v1;

const lines = readline.createInterface({ input: process.stdin });
lines.once('line', (line) => {
  const { target, session, secret, staleRuns, deviceState } = JSON.parse(line);
  const client = new PageLanes(target, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set('migrationd-session', session);
  metadata.set('migrationd-secret-bin', Buffer.from(secret, 'base64'));
  const orders = [{ forget: { staleRuns } }, { loadState: { deviceState: Buffer.from(deviceState, 'base64') } }, { run: {} }];
  const answers = [];
  const call = client.handover(metadata);
  const next = () => (orders.length > 0 ? call.write(orders.shift()) : call.end());
  call.on('data', (answer) => {
    answers.push(answer);
    next();
  });
  call.on('error', () => {}); // The status says the same.
  call.on('status', ({ code, details }) => {
    process.stdout.write(JSON.stringify({ code, details, answers }) + '\n');
    client.close();
    lines.close();
    process.stdin.destroy();
  });
  next();
});
