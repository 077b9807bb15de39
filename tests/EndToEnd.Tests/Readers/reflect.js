// Learns from a daemon what it serves, without a .proto file, and calls it with what it has learned. Reads one line of JSON:
// { target, service, method, request, tls: FOLDER }. Writes what is served, the service's methods, and the answer.
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const { GrpcReflection } = require('grpc-js-reflection-client');

async function main() {
  const order = JSON.parse(fs.readFileSync(0, 'utf8'));
  const credentials = order.tls ? secure(order.tls) : grpc.credentials.createInsecure();
  const reflection = new GrpcReflection(order.target, credentials, {}, 'v1');
  const services = await reflection.listServices();
  const methods = await reflection.listMethods(order.service);
  const descriptor = await reflection.getDescriptorBySymbol(order.service);
  const Service = order.service.split('.').reduce((part, name) => part[name], descriptor.getPackageObject({ keepCase: true, enums: String }));
  const answer = await new Promise(resolve => new Service(order.target, credentials)[order.method](
    order.request, (error, message) => resolve(error ? { code: error.code, details: error.details } : { message })));
  process.stdout.write(JSON.stringify({ services, methods: methods.map(method => method.name), ...answer }), () => process.exit(0));
}

function secure(folder) {
  const read = file => fs.readFileSync(path.join(folder, file));
  return grpc.credentials.createSsl(read('ca-cert.pem'), read('client-key.pem'), read('client-cert.pem'));
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
