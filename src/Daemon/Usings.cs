// What nearly every room of this project names.
global using System.Globalization;
global using Microsoft.Extensions.Logging;
global using MigrationD.Daemon.Notation;
global using MigrationD.Protocol.Refusals;
