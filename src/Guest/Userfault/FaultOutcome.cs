namespace MigrationD.Guest.Userfault;

/// <summary>What a fault message comes to.</summary>
internal enum FaultOutcome
{
    /// <summary>The page has to be asked for.</summary>
    Request,

    /// <summary>It was asked for before, and has not come.</summary>
    Repeated,

    /// <summary>It has come since the fault.</summary>
    Received,
}
