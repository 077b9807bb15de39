// What nearly every room of this project names.
global using System.Net;
global using MigrationD.Protocol.Lanes.Contract;
global using MigrationD.Protocol.Refusals;
