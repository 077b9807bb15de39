namespace MigrationD.Daemon.Migrations;

/// <summary>What has happened to a migration on one side of it.</summary>
/// <param name="Event">What the side's machine is told.</param>
/// <param name="Why">What operators are told of the state that it leads to; empty when there is nothing to explain.</param>
internal readonly record struct Happened<TEvent>(TEvent Event, string Why = "")
    where TEvent : struct, Enum;
