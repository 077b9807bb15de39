namespace MigrationD.EndToEnd.Tests.Versions;

/// <summary>Between which two versions something goes.</summary>
public enum Way
{
    /// <summary>From the previous version to this tree's.</summary>
    Upgrade,

    /// <summary>From this tree's version to the previous one.</summary>
    Downgrade,
}
