// What nearly every room of this project names.
global using System.Runtime.InteropServices;
global using MigrationD.Guest.Interop;
global using MigrationD.Guest.Memory;
global using MigrationD.Guest.Platform;
