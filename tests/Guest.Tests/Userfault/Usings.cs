global using MigrationD.Guest.Interop;
global using MigrationD.Guest.Memory;
global using MigrationD.Guest.Tests.Userfault;
global using MigrationD.Guest.Userfault;
global using MigrationD.TestSupport;
