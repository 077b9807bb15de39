'use strict';

// Is the source of a migration with the unmodified gRPC of Node.js: opens both page lanes on one channel, pushes pages on one and answers
// the requests that come on the other.
//
//   node lanes.js PROTOS
//
// The first line of standard input is {"target", "session", "secret" (base64), "runs": [{"firstPage", "pageCount", "zero"}], "tls"}. With
// "tls", which is null or {"root", "key", "certificate"} in PEM, the channel is encrypted. Page n is filled with the byte n % 251. The
// answer is one line:
// {"push": {"code", "details", "reports"}, "urgent": {"code", "details", "requests"}}.

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const readline = require('node:readline');

const [protos] = process.argv.slice(2);
const options = { includeDirs: [protos], longs: String, enums: String, defaults: true };
const definitions = loader.loadSync(['migrationd/v1/transport.proto'], options);
const { PageLanes } = grpc.loadPackageDefinition(definitions).migrationd.v1;

const PAGE = 4096;

function run(firstPage, pageCount, zero) {
  if (zero) {
    return { firstPage, pageCount, zero };
  }

  const data = Buffer.alloc(pageCount * PAGE);
  for (let i = 0; i < pageCount; i++) {
    data.fill((firstPage + i) % 251, i * PAGE, (i + 1) * PAGE);
  }
  return { firstPage, pageCount, data };
}

function ended(call, collect) {
  return new Promise((resolve) => {
    const messages = [];
    call.on('data', (message) => messages.push(collect(message)));
    call.on('error', () => {}); // The status says the same.
    call.on('status', (status) => resolve({ code: status.code, details: status.details, messages }));
  });
}

async function push(client, metadata, runs) {
  const call = client.push(metadata);
  const end = ended(call, (report) => report.pagesReceived);
  for (const { firstPage, pageCount, zero } of runs) {
    if (!call.write(run(firstPage, pageCount, zero))) {
      await new Promise((resolve) => call.once('drain', resolve));
    }
  }
  call.end();
  const { code, details, messages } = await end;
  return { code, details, reports: messages };
}

async function urgent(client, metadata) {
  const call = client.urgent(metadata);
  const { code, details, messages } = await ended(call, ({ ramBlock, page }) => {
    call.write({ ramBlock, ...run(Number(page), 1, false) });
    return page;
  });
  return { code, details, requests: messages };
}

function credentials(tls) {
  return tls
    ? grpc.credentials.createSsl(Buffer.from(tls.root), Buffer.from(tls.key), Buffer.from(tls.certificate))
    : grpc.credentials.createInsecure();
}

const lines = readline.createInterface({ input: process.stdin });
lines.once('line', async (line) => {
  const order = JSON.parse(line);
  const client = new PageLanes(order.target, credentials(order.tls), { 'grpc.ssl_target_name_override': 'localhost' });
  const metadata = new grpc.Metadata();
  metadata.set('migrationd-session', order.session);
  metadata.set('migrationd-secret-bin', Buffer.from(order.secret, 'base64'));
  const [pushed, answered] = await Promise.all([push(client, metadata, order.runs), urgent(client, metadata)]);
  process.stdout.write(JSON.stringify({ push: pushed, urgent: answered }) + '\n');
  client.close();
  lines.close();
  process.stdin.destroy();
});
