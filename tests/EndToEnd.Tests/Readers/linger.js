// Keeps a stream of requests open at a daemon until the daemon ends it. Its argument is where; writes a line when it has had an answer, and
// one with the status in the end.
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const proto = require.resolve('grpc-js-reflection-client/proto/v1.proto');
const { ServerReflection } = grpc.loadPackageDefinition(protoLoader.loadSync(proto, { keepCase: true })).grpc.reflection.v1;
const call = new ServerReflection(process.argv[2], grpc.credentials.createInsecure()).ServerReflectionInfo();
call.on('data', () => console.log('open'));
call.on('error', () => {});
call.on('status', status => process.stdout.write(`${JSON.stringify(status)}\n`, () => process.exit(0)));
call.write({ list_services: '' });
