namespace MigrationD.Guest.Tests.Kinds;

/// <summary>Tests that run guests: one after the other, because they count threads and load the machine.</summary>
[CollectionDefinition(Name)]
public sealed class GuestCollection
{
    public const string Name = "guests";
}
